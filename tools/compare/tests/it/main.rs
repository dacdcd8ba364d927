//! The comparison, run as people run it, on the peers that need no more than cargo.

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const LOAD: &[&str] =
    &["--", "--subscribers", "20", "--rate", "100", "--size", "64", "--duration", "300ms"];

/// What cargo has built beside the program; `cargo test --workspace` builds all of it.
fn binaries() -> Option<&'static Path> {
    let folder = Path::new(env!("CARGO_BIN_EXE_fanfare-compare")).parent().expect("a folder");
    let missing = ["fanfare", "fanfare-load"].into_iter().find(|name| !folder.join(name).is_file());
    let Some(missing) = missing else { return Some(folder) };
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!in_ci, "skipped in CI: no {missing} in {}", folder.display());
    eprintln!("skipped: no {missing}; cargo test --workspace builds it");
    None
}

fn compare(arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare-compare"));
    command.args(arguments).output().expect("it starts")
}

#[test]
fn three_peers_are_started_loaded_ended_and_told_of() {
    let Some(binaries) = binaries() else { return };
    let home = tempfile::tempdir().expect("a folder");
    let [markdown, json] = ["table.md", "runs.json"].map(|name| home.path().join(name));
    let [markdown, json] = [&markdown, &json].map(|path| path.to_str().expect("text"));
    let what = ["--peers", "axum,fanfare,hyper", "--scenarios", "steady", "--repeat", "1"];
    let with =
        ["--binaries", binaries.to_str().expect("text"), "--markdown", markdown, "--json", json];
    let output = compare(&[&what[..], &with, LOAD].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");

    let table = fs::read_to_string(markdown).expect("written");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{table}\n"));
    for peer in ["fanfare", "axum", "hyper"] {
        let row = table.lines().find(|line| line.starts_with(&format!("| {peer} |")));
        let row = row.unwrap_or_else(|| panic!("no row of {peer} in {table}"));
        assert!(row.contains(" ms") && row.ends_with("| none |"), "{row}");
    }
    assert!(table.contains("### Rows we lose"), "{table}");

    let record: Value = serde_json::from_slice(&fs::read(json).expect("written")).expect("JSON");
    let runs = record["runs"].as_array().expect("a list");
    assert_eq!(runs.len(), 3);
    for run in runs {
        assert_eq!(run["report"]["Ok"]["delivery"]["delivered"], 600, "{run}");
        let target = run["report"]["Ok"]["setting"]["target"].as_str().expect("a URL");
        let address = target.trim_start_matches("http://");
        assert!(std::net::TcpStream::connect(address).is_err(), "{address} still answers");
    }

    let again = compare(&["--from", json]);
    assert_eq!(String::from_utf8_lossy(&again.stdout), format!("{table}\n"));
}

#[test]
fn an_interrupted_comparison_leaves_nothing_running() {
    let Some(binaries) = binaries() else { return };
    let mut comparison = Command::new(env!("CARGO_BIN_EXE_fanfare-compare"))
        .args(["--binaries", binaries.to_str().expect("text"), "--peers", "fanfare"])
        .args(["--scenarios", "hold", "--", "--subscribers", "5", "--duration", "20s"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let deadline = Instant::now() + Duration::from_secs(10);
    // The server, and then the load tester.
    let started = loop {
        let started = children(comparison.id());
        if started.len() == 2 {
            break started;
        }
        assert!(Instant::now() < deadline, "{started:?}");
        thread::sleep(Duration::from_millis(20));
    };
    let pid = Pid::from_child(&comparison);
    kill_process(pid, Signal::INT).expect("it runs");
    let mut said = String::new();
    comparison.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    assert_eq!(comparison.wait().expect("it ends").code(), Some(2), "{said}");
    assert!(said.contains("interrupted"), "{said}");
    for child in started {
        assert!(!Path::new(&format!("/proc/{child}")).exists(), "{child} is left");
    }
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let text =
        tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    let text: String = text.collect();
    text.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

#[test]
fn what_cannot_be_compared_is_named() {
    let Some(binaries) = binaries() else { return };
    let folder = binaries.to_str().expect("text");
    for (arguments, fault) in [
        (&["--binaries", folder, "--peers", "fanfare,mosquitto"][..], "no peer \"mosquitto\""),
        (&["--binaries", folder, "--scenarios", "stead"], "no scenario \"stead\""),
        (&["--binaries", folder, "--server-cpu", "1"], "a CPU each"),
        (&["--binaries", "/no/such/folder"], "/no/such/folder"),
        (&["--from", "/no/such/file"], "/no/such/file"),
    ] {
        let output = compare(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(fault), "{stderr}");
    }
}
