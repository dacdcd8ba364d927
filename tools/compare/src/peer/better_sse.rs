//! better-sse, from npm, on Node's own HTTP server (`peers/node/`).

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{Ground, Peer, Running, free_address, home, installed, last_word};
use crate::process::Process;

/// better-sse.
#[derive(Debug)]
pub(crate) struct BetterSse;

impl Peer for BetterSse {
    fn name(&self) -> &'static str {
        "better-sse"
    }

    fn settings(&self) -> &'static str {
        "a channel of better-sse on `node:http`, one process; data as it came instead of as JSON; one topic, no replay"
    }

    fn version(&self, _: &Ground) -> Result<String, String> {
        let package = folder().join("node_modules/better-sse/package.json");
        let text = std::fs::read_to_string(&package);
        let package = text
            .ok()
            .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok())
            .ok_or("no better-sse here; tools/compare/setup.sh installs it")?;
        let node = last_word(Command::new(installed("node")?).arg("--version"))?;
        Ok(format!("{}, Node {node}", package["version"].as_str().unwrap_or("?")))
    }

    fn start(&self, ground: &Ground) -> Result<Running, String> {
        let (address, home) = (free_address()?, home()?);
        let mut command = Command::new(installed("node")?);
        command.arg(folder().join("server.mjs")).arg(address.port().to_string());
        let process = Process::start(command, ground.cpu, home.path())?;
        Running::new(address, ("/events", "/publish".to_owned()), process, home).ready()
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/node")
}
