//! Real clients: a browser's own `EventSource` on the page and in a script, and the npm package.
//!
//! Each test is a script of `tests/browser/` run by node against a server of ours. A script that
//! needs the server to die and come back prints `restart`, and reads a line when that is done.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::access::{protected, token};
use crate::harness::{Driver, Options, skip};

both_drivers!(
    the_page_shows_publishes_and_counts,
    the_dashboard_is_live_and_closes_a_connection,
    a_browser_reconnects_without_a_gap_or_is_told,
    the_npm_package_eventsource_subscribes_and_resumes,
    a_page_that_has_logged_in_subscribes_by_its_cookie,
);

fn the_page_shows_publishes_and_counts(driver: Driver) {
    run("page.mjs", driver);
}

fn the_dashboard_is_live_and_closes_a_connection(driver: Driver) {
    run("dashboard.mjs", driver);
}

fn a_browser_reconnects_without_a_gap_or_is_told(driver: Driver) {
    run("reconnect.mjs", driver);
}

fn the_npm_package_eventsource_subscribes_and_resumes(driver: Driver) {
    run("eventsource.mjs", driver);
}

fn a_page_that_has_logged_in_subscribes_by_its_cookie(driver: Driver) {
    let topic = "users/7";
    let token = token(&[topic], &[topic]);
    run_with("cookie.mjs", protected(driver), &[&token, topic]);
}

/// Runs a script to its end, which must be a success.
fn run(script: &str, driver: Driver) {
    run_with(script, Options::new(driver), &[]);
}

/// The same against such a server, with these arguments behind its addresses.
fn run_with(script: &str, options: Options, arguments: &[&str]) {
    let folder = folder();
    if let Some(missing) = missing(&folder, script) {
        return skip(&format!("{missing} is not installed (tests/browser/setup.sh installs it)"));
    }
    let mut server = options.argument("--admin=127.0.0.1:0").start();
    let mut command = Command::new("node");
    command.arg(folder.join(script)).arg(format!("http://{}", server.address()));
    command.arg(format!("http://{}", server.admin())).args(arguments);
    let mut node = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node was found before");
    let mut answers = node.stdin.take().expect("stdin is piped");
    let output = BufReader::new(node.stdout.take().expect("stdout is piped"));
    for line in output.lines().map_while(Result::ok) {
        // Captured, and shown if the test fails.
        println!("{script}: {line}");
        if line == "restart" {
            server.restart();
            answers.write_all(b"restarted\n").expect("the script waits");
        }
    }
    let status = node.wait().expect("node is ours");
    assert!(status.success(), "{script} failed: {status}");
}

/// Where the scripts are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

/// What the script needs and this machine lacks.
pub(crate) fn missing(folder: &Path, script: &str) -> Option<&'static str> {
    let version = Command::new("node").arg("--version").stdout(Stdio::null()).status();
    if !version.is_ok_and(|status| status.success()) {
        return Some("node");
    }
    let package = |name: &str| folder.join("node_modules").join(name).exists();
    if script == "eventsource.mjs" {
        return (!package("eventsource")).then_some("the npm package eventsource");
    }
    if !Path::new("/usr/bin/chromium").exists() {
        return Some("chromium");
    }
    (!package("playwright-core")).then_some("the npm package playwright-core")
}
