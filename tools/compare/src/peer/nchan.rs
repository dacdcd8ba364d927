//! Nchan, a module of nginx, from Debian.

use std::{path::Path, process::Command};

use super::{Ground, Peer, Running, free_address, home, installed, last_word, write};
use crate::process::Process;

const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/// Nchan.
#[derive(Debug)]
pub(crate) struct Nchan;

impl Peer for Nchan {
    fn name(&self) -> &'static str {
        "nchan"
    }

    fn settings(&self) -> &'static str {
        "nginx with one worker (it has one CPU), 50,000 connections, no access log, \
         `keepalive_requests` without a bound for the publisher; 1 GiB of shared memory; replay from the last 1,000 messages"
    }

    fn version(&self, _: &Ground) -> Result<String, String> {
        let nginx = installed("nginx")?;
        if !Path::new(MODULE).is_file() {
            return Err(format!("no {MODULE} here; tools/compare/setup.sh installs it"));
        }
        let nginx = last_word(Command::new(nginx).arg("-v"))?;
        let mut query = Command::new("dpkg-query");
        let nchan = last_word(query.args(["-W", "-f", "${Version}", "libnginx-mod-nchan"]))?;
        Ok(format!("{nchan}, {nginx}"))
    }

    fn start(&self, ground: &Ground) -> Result<Running, String> {
        let (address, home) = (free_address()?, home()?);
        let config = write(
            home.path().join("nginx.conf"),
            &CONFIG.replace("{module}", MODULE).replace("{address}", &address.to_string()),
        )?;
        let mut command = Command::new(installed("nginx")?);
        command.arg("-p").arg(home.path()).arg("-c").arg(config).args(["-e", "stderr"]);
        let urls = ("/sub/{topic}", "/pub/{topic}".to_owned());
        let process = Process::start(command, ground.cpu, home.path())?;
        Running::new(address, urls, process, home).ready()
    }
}

/// Paths are in the folder that it is started with. `user` is for a start as root, whose folder nobody
/// else may enter.
const CONFIG: &str = "\
load_module {module};
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 60000;
pid nginx.pid;
error_log stderr error;
events {
    worker_connections 50000;
    multi_accept on;
}
http {
    access_log off;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_in_single_buffer on;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    nchan_shared_memory_size 1G;
    server {
        listen {address} backlog=4096;
        location ~ ^/sub/(.+)$ {
            nchan_subscriber eventsource;
            nchan_channel_id $1;
            nchan_subscriber_first_message newest;
        }
        location ~ ^/pub/(.+)$ {
            nchan_publisher;
            nchan_channel_id $1;
            nchan_message_buffer_length 1000;
            nchan_message_timeout 5m;
        }
    }
}
";
