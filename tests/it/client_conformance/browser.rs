//! Cases played by a browser's own `EventSource`, in a page of another origin.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde::Deserialize;
use serde_json::{Value, json};

use super::case::Case;
use super::expectation::{Aspect, Expectation, Observed, Seen};
use super::verdict;
use crate::browser::{folder, missing};
use crate::harness::scripted::{PAGE, ScriptedServer};
use crate::harness::skip;

const SCRIPT: &str = "conformance.mjs";

/// How many preflights Chromium sends for any `EventSource`, where it deviates from the cases, and
/// from the standard: a `Last-Event-ID` that is too long or unsafe asks for one, and Chromium turns
/// preflights off for all of them (whatwg/fetch#568). Held to exactly, so that it is seen when that changes.
const PREFLIGHTS_OF_CHROMIUM: Expectation = Expectation::Preflights(0);

/// A browser that plays a number of cases, all at once.
pub(super) struct Browser {
    node: Child,
    /// The script ends when this does.
    stdin: Option<ChildStdin>,
    servers: HashMap<String, ScriptedServer>,
    observed: Arc<Mutex<HashMap<String, Observed>>>,
}

/// A line that the script prints.
#[derive(Deserialize)]
struct Report {
    case: String,
    seen: Observed,
}

impl Browser {
    /// Starts the cases, or says why this machine cannot.
    pub(super) fn start(cases: &[Case]) -> Option<Self> {
        if let Some(missing) = missing(&folder(), SCRIPT) {
            skip(&format!("{missing} is not installed (tests/browser/setup.sh installs it)"));
            return None;
        }
        let server = |case: &Case| {
            let case = granted(case);
            ScriptedServer::start(|origins| case.script(origins))
        };
        let servers: HashMap<_, _> =
            cases.iter().map(|case| (case.name.clone(), server(case))).collect();
        let tasks: Vec<_> = cases.iter().map(|case| task(case, &servers[&case.name])).collect();
        let mut node = Command::new("node")
            .arg(folder().join(SCRIPT))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node was found before");
        let mut stdin = node.stdin.take().expect("stdin is piped");
        writeln!(stdin, "{}", Value::from(tasks)).expect("the script reads");
        let observed = Arc::<Mutex<HashMap<String, Observed>>>::default();
        let output = BufReader::new(node.stdout.take().expect("stdout is piped"));
        thread::spawn({
            let observed = Arc::clone(&observed);
            move || follow(output, &observed)
        });
        Some(Self { node, stdin: Some(stdin), servers, observed })
    }

    /// Waits for what the case expects of the browser.
    ///
    /// # Errors
    ///
    /// Says what was otherwise.
    pub(super) fn play(&self, case: &Case) -> Result<(), String> {
        let server = &self.servers[&case.name];
        verdict(&deviating(case), || {
            let observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
            Seen {
                client: observed.get(&case.name).cloned().unwrap_or_default(),
                requests: server.requests(),
                preflights: server.preflights(),
                steps: case.steps.len(),
            }
        })
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The script closes its browser when its input ends.
        self.stdin.take();
        let status = self.node.wait().expect("node is ours");
        if !thread::panicking() {
            assert!(status.success(), "{SCRIPT} failed: {status}");
        }
    }
}

fn follow(output: impl BufRead, observed: &Mutex<HashMap<String, Observed>>) {
    for line in output.lines().map_while(Result::ok) {
        match serde_json::from_str::<Report>(&line) {
            Ok(Report { case, seen }) => {
                observed.lock().unwrap_or_else(PoisonError::into_inner).insert(case, seen);
            }
            Err(_) => println!("{SCRIPT}: {line}"),
        }
    }
}

/// What the script is to do: the page is of the first origin, the stream of the second. Credentials
/// are on where a response allows them, or where the case expects a cookie.
fn task(case: &Case, server: &ScriptedServer) -> Value {
    let allows = |step: &Value| {
        let headers = step["headers"].as_object().into_iter().flatten();
        headers.into_iter().any(|(name, _)| is_named(name, ALLOW_CREDENTIALS))
    };
    let expects_cookie = case.expectations.iter().find_map(|expectation| match expectation {
        Expectation::Request(_, Aspect::HasCookie(has)) => Some(*has),
        _ => None,
    });
    json!({
        "case": case.name,
        "page": format!("{}{PAGE}", server.origins().first()),
        "url": format!("{}/events", server.origins().second()),
        "withCredentials": expects_cookie.unwrap_or_else(|| case.steps.iter().any(allows)),
    })
}

const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";
const ALLOW_CREDENTIALS: &str = "Access-Control-Allow-Credentials";

/// The case with CORS granted by each response, if it is about what the browser sends: the file
/// leaves that out there, but without it no stream gets as far as that.
fn granted(case: &Case) -> Case {
    let is_about_requests = case.expectations.iter().any(|expectation| match expectation {
        Expectation::Preflights(_) => true,
        Expectation::Request(_, aspect) => matches!(aspect, Aspect::HasCookie(_)),
        _ => false,
    });
    let mut steps = case.steps.clone();
    for headers in steps.iter_mut().filter_map(|step| step["headers"].as_object_mut()) {
        if is_about_requests && !headers.keys().any(|name| is_named(name, ALLOW_ORIGIN)) {
            headers.insert(ALLOW_ORIGIN.to_owned(), json!("{origin}"));
            headers.insert(ALLOW_CREDENTIALS.to_owned(), json!("true"));
        }
    }
    Case { name: case.name.clone(), steps, expectations: Vec::new() }
}

/// The case as Chromium is known to play it.
fn deviating(case: &Case) -> Case {
    let expectation = |expectation: &Expectation| match expectation {
        Expectation::Preflights(_) => PREFLIGHTS_OF_CHROMIUM,
        other => other.clone(),
    };
    let expectations = case.expectations.iter().map(expectation).collect();
    Case { name: case.name.clone(), steps: case.steps.clone(), expectations }
}

fn is_named(name: &str, other: &str) -> bool {
    name.eq_ignore_ascii_case(other)
}
