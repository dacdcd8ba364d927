//! Pushpin, from Debian, with a small web application of ours behind it (`src/bin/grip_backend.rs`).

use std::{net::SocketAddr, process::Command};

use super::{Ground, Peer, Running, free_address, home, installed, last_word, write};
use crate::process::Process;

/// Pushpin.
#[derive(Debug)]
pub(crate) struct Pushpin;

impl Peer for Pushpin {
    fn name(&self) -> &'static str {
        "pushpin"
    }

    fn settings(&self) -> &'static str {
        "condure, zurl, proxy and handler, on the one CPU; its limit of messages per second off, little logged; published through its ZeroMQ \
         socket, by a web application that is not counted; no replay without one that keeps the messages"
    }

    fn version(&self, ground: &Ground) -> Result<String, String> {
        ground.binaries.path("grip_backend")?;
        ["condure", "zurl"].into_iter().try_for_each(|name| installed(name).map(drop))?;
        last_word(Command::new(installed("pushpin")?).arg("--version"))
    }

    fn start(&self, ground: &Ground) -> Result<Running, String> {
        let [address, backend, publish, http] =
            [free_address()?, free_address()?, free_address()?, free_address()?];
        let home = home()?;
        write(home.path().join("routes"), &format!("* {backend}\n"))?;
        let folder = home.path().to_string_lossy();
        let config = CONFIG
            .replace("{home}", &folder)
            .replace("{address}", &address.to_string())
            .replace("{publish}", &publish.to_string())
            .replace("{http}", &http.port().to_string());
        let config = write(home.path().join("pushpin.conf"), &config)?;
        let mut command = Command::new(installed("pushpin")?);
        command.arg(format!("--config={}", config.display())).arg("--merge-output");
        let process = Process::start(command, ground.cpu, home.path())?;
        let application = application(ground, &home, backend, publish)?;
        let urls = ("/events/{topic}", format!("http://{backend}/publish/{{topic}}"));
        let mut running = Running::new(address, urls, process, home);
        running.beside.push(application);
        running.ready()
    }
}

fn application(
    ground: &Ground,
    home: &tempfile::TempDir,
    address: SocketAddr,
    publish: SocketAddr,
) -> Result<Process, String> {
    let mut command = Command::new(ground.binaries.path("grip_backend")?);
    command.arg(address.to_string()).arg(format!("tcp://{publish}"));
    Process::start(command, ground.cpu, home.path())
}

/// With any `message_rate` a message waits until no other has come for a while, so that of a steady stream
/// nothing is delivered before its end: there is none. What `{libdir}`, `{rundir}` and `{ipc_prefix}`
/// stand for is Pushpin's to say. Debian has a zurl for the whole system; this one is its own.
const CONFIG: &str = "\
[global]
include={libdir}/internal.conf
rundir={home}
ipc_prefix=compare-
port_offset=0

[runner]
services=condure,zurl,pushpin-proxy,pushpin-handler
http_port={address}
logdir={home}
log_level=1
client_buffer_size=8192
client_maxconn=50000
condure_bin=condure
zurl_bin=zurl

[proxy]
routesfile=routes
updates_check=off
sig_key=changeme
zurl_out_specs=ipc://{rundir}/{ipc_prefix}zurl-in
zurl_out_stream_specs=ipc://{rundir}/{ipc_prefix}zurl-in-stream
zurl_in_specs=ipc://{rundir}/{ipc_prefix}zurl-out

[handler]
push_in_spec=tcp://{publish}
push_in_sub_specs=ipc://{rundir}/{ipc_prefix}publish-sub
push_in_http_addr=127.0.0.1
push_in_http_port={http}
command_spec=ipc://{rundir}/{ipc_prefix}command
stats_spec=ipc://{rundir}/{ipc_prefix}stats
message_rate=0
message_hwm=1000000
";
