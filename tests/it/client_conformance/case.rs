//! A case of the file, and what the file leaves to its reader.

use std::collections::BTreeMap;

use serde_json::Value;

use super::expectation::{Aspect, Expectation, Which};
use crate::harness::scripted::{Origins, Reply};

const CASES: &str = include_str!("../../conformance/sse-connection-cases.json");

/// Headers that a client sends of its own accord; a case that expects others has asked for them.
const OWN_HEADERS: [&str; 2] = ["accept", "cache-control"];

/// What a server does over a few requests, and what a client must make of it.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) steps: Vec<Value>,
    pub(super) expectations: Vec<Expectation>,
}

/// Where a case's client connects to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Server,
    /// A host that does not exist.
    UnknownHost,
    /// A port that nobody listens on.
    ClosedPort,
}

/// What a case's client is told to send.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Inputs {
    pub(super) method: Option<String>,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Case {
    /// All cases of the file.
    ///
    /// # Panics
    ///
    /// If a case has a key or value that means nothing here: none is passed over.
    pub(super) fn all() -> Vec<Self> {
        let cases: Vec<Value> = serde_json::from_str(CASES).expect("the cases are JSON");
        let parse =
            |case: &Value| Self::parse(case).unwrap_or_else(|fault| panic!("{fault}: {case}"));
        cases.iter().map(parse).collect()
    }

    pub(super) fn parse(case: &Value) -> Result<Self, String> {
        let fields = case.as_object().ok_or("a case is an object")?;
        let known = ["name", "source", "steps", "expect", "note"];
        if let Some(key) = fields.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!("unknown key of a case: {key}"));
        }
        let expected = case["expect"].as_object().ok_or("a case expects something")?;
        if expected.is_empty() {
            return Err("a case that expects nothing cannot fail".to_owned());
        }
        Ok(Self {
            name: case["name"].as_str().ok_or("a case has a name")?.to_owned(),
            steps: case["steps"].as_array().ok_or("a case has steps")?.clone(),
            expectations: Expectation::parse_all(expected)?,
        })
    }

    /// Whether the case is about what a browser enforces: CORS, preflights and credentials. No
    /// client outside of one has origins.
    pub(super) fn is_for_a_browser(&self) -> bool {
        let names = ["cors-", "credentials-"].iter().any(|start| self.name.starts_with(start));
        names
            || self.expectations.iter().any(|expectation| match expectation {
                Expectation::Preflights(_) => true,
                Expectation::Request(_, aspect) => matches!(aspect, Aspect::HasCookie(_)),
                _ => false,
            })
    }

    /// An `error` of the first step that is no server's doing.
    pub(super) fn target(&self) -> Target {
        match self.steps.first().and_then(|step| step["error"].as_str()) {
            Some("dns") => Target::UnknownHost,
            Some("refused") => Target::ClosedPort,
            _ => Target::Server,
        }
    }

    /// The server's side of the case.
    pub(super) fn script(&self, origins: &Origins) -> Vec<Reply> {
        if self.target() != Target::Server {
            assert_eq!(self.steps.len(), 1, "{}: nothing comes after no server", self.name);
            return Vec::new();
        }
        let reply = |step| {
            Reply::of_step(step, origins).unwrap_or_else(|fault| panic!("{}: {fault}", self.name))
        };
        self.steps.iter().map(reply).collect()
    }

    /// What the client must be told to send, so that the server can see what the case expects:
    ///
    /// - a header expected on any request, but for [`OWN_HEADERS`] and a `Last-Event-ID` that only
    ///   later requests have;
    /// - a header expected to be gone later, but for `Last-Event-ID`: some secret value of it;
    /// - a method or a body expected on any request. A body alone makes it a POST.
    pub(super) fn inputs(&self) -> Inputs {
        let mut inputs = Inputs::default();
        for (which, aspect) in self.requests() {
            match aspect {
                Aspect::Headers(headers) => inputs.add_headers(*which, headers),
                Aspect::AbsentHeaders(names) if *which != Which::First => {
                    let secrets = names.iter().filter(|name| !is_last_event_id(name));
                    inputs.headers.extend(secrets.map(|name| (name.clone(), secret(name))));
                }
                Aspect::Method(method) => {
                    inputs.method.get_or_insert_with(|| method.clone());
                }
                Aspect::Body(body) => inputs.body.clone_from(body),
                Aspect::AbsentHeaders(_) | Aspect::HasCookie(_) | Aspect::Path(_) => {}
            }
        }
        if inputs.method.as_deref() == Some("POST") && inputs.body.is_empty() {
            inputs.body = r#"{"hello": "world"}"#.to_owned();
        }
        if !inputs.body.is_empty() {
            inputs.method.get_or_insert_with(|| "POST".to_owned());
        }
        inputs
    }

    fn requests(&self) -> impl Iterator<Item = (&Which, &Aspect)> {
        self.expectations.iter().filter_map(|expectation| match expectation {
            Expectation::Request(which, aspect) => Some((which, aspect)),
            _ => None,
        })
    }

    /// The statuses to try again after, which is off unless the case is about that option.
    pub(super) fn retry_statuses(&self) -> Vec<u16> {
        if !self.name.contains("library-retry") && !self.name.contains("retry-after") {
            return Vec::new();
        }
        let status = |step: &Value| step["status"].as_u64().and_then(|code| code.try_into().ok());
        self.steps.iter().filter_map(status).filter(|code: &u16| *code >= 400).collect()
    }

    /// Whether the client needs a limit on silence: from a step that stalls, nothing else leads on
    /// to the next one.
    pub(super) fn needs_read_timeout(&self) -> bool {
        let last = self.steps.len().saturating_sub(1);
        let stalls = self.steps[..last].iter().any(|step| step["then"] == "stall");
        stalls || self.name.contains("read-timeout")
    }

    /// Whether the client itself must close the stream: the server never does, but the states
    /// expected end in `closed`.
    pub(super) fn is_closed_by_the_client(&self) -> bool {
        let is_kept = self.steps.last().is_some_and(|step| step["then"] == "keep");
        is_kept && self.states().is_some_and(|states| states.last().is_some_and(|s| s == "closed"))
    }

    /// The course of states expected.
    pub(super) fn states(&self) -> Option<&[String]> {
        self.expectations.iter().find_map(|expectation| match expectation {
            Expectation::States(states) => Some(states.as_slice()),
            _ => None,
        })
    }

    /// The course of open connections expected.
    pub(super) fn open_connections(&self) -> Option<&[usize]> {
        self.expectations.iter().find_map(|expectation| match expectation {
            Expectation::OpenConnections(counts) => Some(counts.as_slice()),
            _ => None,
        })
    }
}

impl Inputs {
    fn add_headers(&mut self, which: Which, expected: &BTreeMap<String, Option<String>>) {
        for (name, value) in expected {
            let is_own = OWN_HEADERS.iter().any(|own| name.eq_ignore_ascii_case(own));
            let is_from_stream = is_last_event_id(name) && which != Which::First;
            if let (Some(value), false, false) = (value, is_own, is_from_stream) {
                self.headers.insert(name.clone(), value.clone());
            }
        }
    }
}

fn is_last_event_id(name: &str) -> bool {
    name.eq_ignore_ascii_case("last-event-id")
}

fn secret(name: &str) -> String {
    let value =
        if name.eq_ignore_ascii_case("authorization") { "Bearer secret" } else { "a=secret" };
    value.to_owned()
}
