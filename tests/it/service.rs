//! What a service manager is told (`Type=notify`).

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use fanfare::limits;
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Driver, Options, PATIENCE};

both_drivers!(a_service_manager_is_told_when_it_serves_and_when_it_ends);

fn a_service_manager_is_told_when_it_serves_and_when_it_ends(driver: Driver) {
    let name = format!("notify-{}-{}", driver.name(), std::process::id());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let manager = UnixDatagram::bind(&path).expect("the folder is ours");
    manager.set_read_timeout(Some(PATIENCE)).expect("a socket takes a time-out");
    let told = || {
        let mut buffer = [0; 256];
        let len = manager.recv(&mut buffer).expect("the manager is told");
        String::from_utf8_lossy(&buffer[..len]).trim_end().to_owned()
    };
    let mut command = Options::new(driver).command();
    command.env("NOTIFY_SOCKET", &path).stdout(Stdio::null()).stderr(Stdio::null());
    let mut server = command.spawn().expect("the binary starts");
    assert_eq!(told(), "READY=1");
    kill_process(Pid::from_child(&server), Signal::TERM).expect("it lives");
    assert_eq!(told(), "STOPPING=1");
    assert!(server.wait().expect("it is ours").success());
    // What cannot be removed goes with the target folder.
    let _ = fs::remove_file(&path);
}

/// Whoever is killed in the middle of it has drained in vain.
#[test]
fn the_unit_gives_a_drain_its_time() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd/fanfare.service");
    let unit = fs::read_to_string(unit).expect("it is ours");
    let seconds =
        unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")?.strip_suffix('s'));
    let given = seconds.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    let taken = limits::DRAIN_DEFAULT + limits::DRAIN_DEADLINE;
    assert!(given > Some(taken), "{given:?} is not more than {taken:?}");
    assert!(unit.contains("Type=notify"), "it waits for what the server says");
}
