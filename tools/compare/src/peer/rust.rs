//! Servers in Rust that are written here (`src/bin/`), from crates.

use std::process::Command;

use super::{Ground, Peer, Running, free_address, home};
use crate::process::Process;

/// What a Rust developer writes first.
pub(crate) const AXUM: Rust = Rust {
    name: "axum",
    binary: "peer_axum",
    settings: "`axum::response::Sse` over `tokio::sync::broadcast`, an event formatted once; \
               one thread, TCP_NODELAY, mimalloc; one topic, no replay",
};

/// What one writes who wants the most of it.
pub(crate) const HYPER: Rust = Rust {
    name: "hyper",
    binary: "peer_hyper",
    settings: "hyper alone, a message encoded once and its `Bytes` cloned into a channel for each \
               connection; one thread, TCP_NODELAY, mimalloc; one topic, no replay",
};

/// One of them.
#[derive(Debug)]
pub(crate) struct Rust {
    /// Its crate's as well.
    name: &'static str,
    binary: &'static str,
    settings: &'static str,
}

impl Peer for Rust {
    fn name(&self) -> &'static str {
        self.name
    }

    fn settings(&self) -> &'static str {
        self.settings
    }

    fn version(&self, ground: &Ground) -> Result<String, String> {
        ground.binaries.path(self.binary)?;
        locked_version(include_str!("../../../../Cargo.lock"), self.name)
            .ok_or_else(|| format!("Cargo.lock has no {}", self.name))
    }

    fn start(&self, ground: &Ground) -> Result<Running, String> {
        let (address, home) = (free_address()?, home()?);
        let mut command = Command::new(ground.binaries.path(self.binary)?);
        command.arg(address.to_string());
        let process = Process::start(command, ground.cpu, home.path())?;
        Running::new(address, ("/events", "/publish".to_owned()), process, home).ready()
    }
}

fn locked_version(lock: &str, name: &str) -> Option<String> {
    let package = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?.1;
    Some(package.split('"').next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_lock_file() {
        let lock = "[[package]]\nname = \"hyper-util\"\nversion = \"0.1.2\"\n\n\
                    [[package]]\nname = \"hyper\"\nversion = \"1.12.0\"\n";
        assert_eq!(locked_version(lock, "hyper").as_deref(), Some("1.12.0"));
        assert_eq!(locked_version(lock, "axum"), None);
    }
}
