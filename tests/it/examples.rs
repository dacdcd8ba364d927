//! The examples that end by themselves, run as a newcomer would.
//!
//! `cargo test` builds them beside the tests; a run of this one test binary alone may not have.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use crate::harness::skip;

#[test]
fn chat_prints_the_answer_to_its_question() {
    let answer = "You said: \"Who's there? é\". Pieces of eight! 🦜\n";
    prints("chat", &["Who's", "there? é"], answer);
}

#[test]
fn an_axum_app_serves_event_streams_of_its_own() {
    prints("axum_app", &[], "the band plays\nlast call\n");
}

#[test]
fn a_server_is_nested_in_an_axum_app() {
    prints("axum_nested", &[], "the page of the app\ndoors open\nlast call\n");
}

#[test]
fn follow_ends_by_itself_at_the_close_event() {
    let lines = [
        "now Connecting",
        "now Open",
        "message: one trumpet",
        "a bid of 200",
        "bid: 200",
        "a bid of 250",
        "bid: 250",
        "it is over: sold",
        "now Closed\n",
    ];
    prints("follow", &[], &lines.join("\n"));
}

/// Runs an example to its end, which must be a success, and compares what it printed.
fn prints(example: &str, arguments: &[&str], expected: &str) {
    let program = program(example);
    if !fs::exists(&program).expect("a folder of ours") {
        return skip(&format!("the example {example} is not built (`cargo test` does)"));
    }
    let output = Command::new(program).args(arguments).output().expect("it starts");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{output:?}");
}

fn program(example: &str) -> PathBuf {
    let test = env::current_exe().expect("this is a program");
    let profile = test.ancestors().nth(2).expect("tests are in target/PROFILE/deps");
    profile.join("examples").join(example)
}
