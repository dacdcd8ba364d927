//! A server of our own: found or built, started on a free port, ended by its process id.

use std::env;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::http::Responses;
use crate::machine;

const READY_WITHIN: Duration = Duration::from_secs(10);
const END_WITHIN: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running server; it ends with this value.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    child: Child,
    address: SocketAddr,
}

impl ServerProcess {
    /// Starts the server `given`, or the one found, on a free port and waits until it is healthy.
    ///
    /// # Errors
    /// In words: none found and none could be built, it ended at once, it did not become healthy.
    pub(crate) fn start(
        given: Option<&Path>,
        cpu: Option<usize>,
        args: &[String],
    ) -> Result<Self, String> {
        let binary = match given {
            Some(path) => path.to_owned(),
            None => find_or_build()?,
        };
        let address = free_address().map_err(|error| format!("finding a free port: {error}"))?;
        let mut command = Command::new(&binary);
        command.args(["serve", "--listen", &address.to_string()]).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        if env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "warn");
        }
        // A child inherits the CPU set of the thread that starts it.
        let child = machine::pinned(cpu, || command.spawn())?
            .map_err(|error| format!("starting {}: {error}", binary.display()))?;
        let mut server = Self { child, address };
        server.wait_until_healthy()?;
        Ok(server)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn wait_until_healthy(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the server ended before it was ready: {status}"));
            }
            match health(self.address) {
                Ok(200) => return Ok(()),
                outcome if Instant::now() > deadline => {
                    let last = match outcome {
                        Ok(status) => format!("GET /health answers {status}"),
                        Err(error) => format!("GET /health: {error}"),
                    };
                    return Err(format!("the server is not ready after {READY_WITHIN:?}: {last}"));
                }
                _ => thread::sleep(LOOK_EVERY),
            }
        }
    }

    fn has_ended_within(&mut self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(LOOK_EVERY);
        }
        true
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // Not yet waited for, so the id is still this child's.
            let _ = kill_process(pid, Signal::TERM);
        }
        if !self.has_ended_within(END_WITHIN) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn health(address: SocketAddr) -> io::Result<u16> {
    let mut connection = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    connection.set_read_timeout(Some(Duration::from_secs(1)))?;
    write!(connection, "GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let response = Responses::new(connection).next()?;
    Ok(response.map_or(0, |response| response.status))
}

/// Under cargo, what is beside this program may be older than the sources, so cargo is asked then.
fn find_or_build() -> Result<PathBuf, String> {
    let beside = env::current_exe().ok().map(|program| program.with_file_name("fanfare"));
    match beside.filter(|path| path.is_file() && env::var_os("CARGO").is_none()) {
        Some(path) => Ok(path),
        None => build(),
    }
}

fn build() -> Result<PathBuf, String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    eprintln!("fanfare-load: building the server (--server PATH uses another)");
    let output = Command::new(cargo)
        .args([
            "build",
            "--release",
            "--bin",
            "fanfare",
            "--message-format",
            "json-render-diagnostics",
        ])
        .current_dir(&workspace)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("no `fanfare` beside this program, and cargo: {error}"))?;
    if !output.status.success() {
        return Err("no `fanfare` beside this program, and it could not be built".to_owned());
    }
    built_executable(&output.stdout).ok_or_else(|| "cargo named no executable".to_owned())
}

/// The `executable` of the artifact named `fanfare` in cargo's messages.
fn built_executable(messages: &[u8]) -> Option<PathBuf> {
    let messages = messages.split(|&byte| byte == b'\n');
    let artifacts = messages.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let executables = artifacts.filter(|artifact| artifact["target"]["name"] == "fanfare");
    executables
        .filter_map(|artifact| artifact["executable"].as_str().map(PathBuf::from))
        .next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_names_the_executable() {
        let messages =
            br#"{"reason":"compiler-artifact","target":{"name":"fanfare"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"fanfare"},"executable":"/t/release/fanfare"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(built_executable(messages), Some(PathBuf::from("/t/release/fanfare")));
    }

    #[test]
    fn a_server_that_ends_at_once_is_reported() {
        let error = ServerProcess::start(Some(Path::new("/bin/false")), None, &[]);
        assert!(error.is_err_and(|error| error.contains("ended before")));
        let error = ServerProcess::start(Some(Path::new("/no/such/server")), None, &[]);
        assert!(error.is_err_and(|error| error.contains("/no/such/server")));
    }
}
