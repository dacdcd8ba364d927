//! The cases of `tests/conformance/sse-connection-cases.json`: what a server does over one or more
//! connections, and what a client makes of it.
//!
//! Our client plays all of them, against a server that follows the case's script, but for those
//! about what a browser enforces: these show that a browser understands them as the file does.

mod browser;
mod case;
mod expectation;
mod ours;

use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use self::case::Case;
use self::expectation::{Expectation, Seen};

/// How long a case's expectations may take to come about.
const CASE_PATIENCE: Duration = Duration::from_secs(20);

/// Cases played at a time: most of their time is waiting.
const AT_A_TIME: usize = 8;

#[test]
fn our_client_does_what_every_case_expects() {
    let cases: Vec<_> = Case::all().into_iter().filter(|case| !case.is_for_a_browser()).collect();
    let runtime = Runtime::new().expect("a runtime");
    play_all(&cases, |case| ours::play(case, runtime.handle()));
}

#[test]
fn a_browser_does_what_its_cases_expect() {
    let cases: Vec<_> = Case::all().into_iter().filter(Case::is_for_a_browser).collect();
    let Some(browser) = browser::Browser::start(&cases) else { return };
    play_all(&cases, |case| browser.play(case));
}

#[test]
fn every_case_of_the_file_is_read() {
    let text = std::fs::read_to_string("tests/conformance/sse-connection-cases.json");
    let text = text.expect("the tests run in the package's folder");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("the cases are JSON");
    let names: Vec<_> = cases.iter().map(|case| case["name"].as_str()).collect();
    let all = Case::all();
    assert!(all.iter().map(|case| Some(case.name.as_str())).eq(names));
    assert!(all.len() >= 52, "only {} cases", all.len());
}

#[test]
fn what_a_case_says_and_nobody_understands_is_a_fault() {
    let fault = |case: Value| Case::parse(&case).expect_err("it is not understood");
    let case = json!({"name": "x", "steps": [], "expect": {"state": "open", "colour": "red"}});
    assert_eq!(fault(case), "colour: unknown expectation");
    let case = json!({"name": "x", "steps": [], "expect": {"requests": "two"}});
    assert!(fault(case).starts_with("requests: invalid type"));
    let case = json!({"name": "x", "steps": [], "expect": {}, "input": ""});
    assert_eq!(fault(case), "unknown key of a case: input");
    let case = json!({"name": "x", "steps": [], "expect": {}});
    assert_eq!(fault(case), "a case that expects nothing cannot fail");
}

/// Plays all of them, some at a time.
///
/// # Panics
///
/// If one fails, with what all failed at.
fn play_all(cases: &[Case], play: impl Fn(&Case) -> Result<(), String> + Sync) {
    let queue = Mutex::new(cases.iter());
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(case) = next(&queue) {
                    let outcome = panic::catch_unwind(AssertUnwindSafe(|| play(case)));
                    let outcome = outcome.unwrap_or_else(|_| Err("it panicked".to_owned()));
                    let outcome = outcome.map_err(|fault| format!("{}: {fault}", case.name));
                    outcomes.lock().expect("nobody panics with it").push(outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().expect("nobody panics with it");
    assert_eq!(outcomes.len(), cases.len(), "every case was played");
    let failures: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

fn next<'a>(queue: &Mutex<impl Iterator<Item = &'a Case>>) -> Option<&'a Case> {
    queue.lock().expect("nobody panics with it").next()
}

/// Waits until everything is as the case expects, and then for as long as it must stay so.
///
/// # Errors
///
/// Says what is otherwise.
fn verdict(case: &Case, seen: impl Fn() -> Seen) -> Result<(), String> {
    let check = || {
        let seen = seen();
        let expected = case.expectations.as_slice();
        let check = |one: &Expectation| one.check(&seen, expected);
        expected.iter().try_for_each(check).map_err(|fault| format!("{fault}; {seen:?}"))
    };
    let deadline = Instant::now() + CASE_PATIENCE;
    while let Err(fault) = check() {
        if Instant::now() > deadline {
            return Err(fault);
        }
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Expectation::quiet(&case.expectations));
    check().map_err(|fault| format!("at first as expected, but then {fault}"))
}
