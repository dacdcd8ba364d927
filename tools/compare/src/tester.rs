//! The load tester, run on one peer.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    interrupt,
    peer::Running,
    process::Process,
    scenario::{ALWAYS, ONE_LOAD, Scenario},
};

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// On a topic of its own, so that nothing of it is replayed.
const WARM_UP: &str = "--topic warm-up --subscribers 100 --rate 500 --duration 500ms";

/// The load tester, and how it is run.
#[derive(Debug)]
pub(crate) struct Tester {
    binary: PathBuf,
    cpu: usize,
    /// Options that are stronger than a scenario's.
    options: Vec<String>,
}

impl Tester {
    /// The one at `binary`.
    pub(crate) fn new(binary: PathBuf, cpu: usize, options: &[String]) -> Self {
        Self { binary, cpu, options: options.to_owned() }
    }

    /// Runs `scenario` on `peer`, and gives the report.
    ///
    /// # Errors
    /// In words: it could not be run. What the peer did wrong is in the report.
    pub(crate) fn run(&self, scenario: &Scenario, peer: &Running) -> Result<Value, String> {
        if scenario.warm_up {
            // If this goes wrong, so does what counts.
            let _ = self.report("steady", WARM_UP, peer, ONE_LOAD);
        }
        self.report(scenario.subcommand, scenario.load, peer, scenario.within)
    }

    fn report(
        &self,
        subcommand: &str,
        load: &str,
        peer: &Running,
        within: Duration,
    ) -> Result<Value, String> {
        let home = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
        let document = home.path().join("report.json");
        let mut command = Command::new(&self.binary);
        command.args([subcommand, "--target", &peer.target, "--subscribe-url", peer.subscribe_url]);
        command.args(["--publish-url", &peer.publish_url, "--publish-mode", "post"]);
        command.args(["--cpu", &self.cpu.to_string()]).arg("--json").arg(&document);
        for pid in peer.pids() {
            command.args(["--pid", &pid.to_string()]);
        }
        command.args(merged(&format!("{ALWAYS} {load}"), &self.options));
        let end = wait(Process::start(command, self.cpu, home.path())?, within)?;
        // A verdict against the peer is a report as well.
        read(&document).ok_or(end)
    }
}

/// The options of `load`, each with a value, but for those that `stronger` gives; then these.
fn merged<'o>(load: &'o str, stronger: &'o [String]) -> Vec<&'o str> {
    let words: Vec<_> = load.split_whitespace().collect();
    let is_given =
        |name: &str| stronger.iter().any(|option| option.split('=').next() == Some(name));
    let kept = words.chunks(2).filter(|option| !is_given(option[0])).flatten().copied();
    kept.chain(stronger.iter().map(String::as_str)).collect()
}

fn wait(mut process: Process, within: Duration) -> Result<String, String> {
    let deadline = Instant::now() + within;
    loop {
        match process.end() {
            Some(end) => return Ok(end),
            None if Instant::now() > deadline => {
                return Err(format!("not all was delivered within {within:?}"));
            }
            None if interrupt::asked() => return Err("interrupted".to_owned()),
            None => thread::sleep(LOOK_EVERY),
        }
    }
}

fn read(document: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(document).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_is_given_stands_alone() {
        let given = ["--rate=5", "--size", "64"].map(ToOwned::to_owned);
        let load = "--rate 100 --subscribers 10 --size 128";
        assert_eq!(merged(load, &given), ["--subscribers", "10", "--rate=5", "--size", "64"]);
        assert_eq!(merged(load, &[]).join(" "), load);
    }
}
