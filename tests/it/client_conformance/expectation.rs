//! What a case expects, read strictly and checked against what was seen.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::harness::scripted::Request;

/// How long everything must stay as expected after it has come about, unless the case says.
const QUIET: Duration = Duration::from_millis(500);

/// How much later than told a wait may end: the machine may be busy, but a wait that is twice as
/// long is wrong, unless it is too short to tell.
const LATE_MIN: Duration = Duration::from_millis(250);
const LATE_MAX: Duration = Duration::from_secs(2);
const LATE_RATIO: f64 = 0.9;

/// One thing that a case expects.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expectation {
    State(String),
    /// The whole course of states.
    States(Vec<String>),
    /// Each is the data alone, or an object with some of `type`, `data` and `lastEventId`.
    Events(Vec<Value>),
    LastEventIds(Vec<String>),
    Requests(usize),
    Preflights(usize),
    Error(bool),
    /// Between the end of the first answer and the second request.
    Delay {
        least: Duration,
        most: Duration,
    },
    /// Checked while they are made to come about.
    OpenConnections(Vec<usize>),
    /// How long nothing may change in the end.
    Wait(Duration),
    Request(Which, Aspect),
}

/// Which requests an expectation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    First,
    Second,
    Third,
    /// All but the first; they are as many as the case has steps.
    EveryLater,
}

/// What of a request is as expected.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Aspect {
    /// A null is a header that is not there.
    Headers(BTreeMap<String, Option<String>>),
    AbsentHeaders(Vec<String>),
    Method(String),
    Path(String),
    Body(String),
    HasCookie(bool),
}

/// What a client has told so far.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Observed {
    /// Every state in turn, in the words of `EventSource`.
    pub(super) states: Vec<String>,
    pub(super) events: Vec<Event>,
    pub(super) errors: Vec<String>,
    /// How many events had come when the first error did.
    pub(super) events_before_error: Option<usize>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    pub(super) r#type: String,
    pub(super) data: String,
    pub(super) last_event_id: String,
}

/// What both sides have seen.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) client: Observed,
    pub(super) requests: Vec<Request>,
    pub(super) preflights: usize,
    /// How many requests the script has a reply for.
    pub(super) steps: usize,
}

impl Expectation {
    /// Everything that a case expects.
    ///
    /// # Errors
    ///
    /// Names the key that is unknown, or whose value is not what it should be.
    pub(super) fn parse_all(expect: &Map<String, Value>) -> Result<Vec<Self>, String> {
        if expect.contains_key("tolerance") && !expect.contains_key("delay_ms") {
            return Err("a tolerance of what?".to_owned());
        }
        let parse = |(key, value): (&String, &Value)| {
            Self::parse(key, value, expect).map_err(|fault| format!("{key}: {fault}"))
        };
        let others = expect.iter().filter(|(key, _)| *key != "tolerance");
        others.map(parse).collect()
    }

    fn parse(key: &str, value: &Value, expect: &Map<String, Value>) -> Result<Self, String> {
        Ok(match key {
            "state" => Self::State(typed(value)?),
            "states" => Self::States(typed(value)?),
            "events" => Self::Events(typed(value)?),
            "last_event_ids" => Self::LastEventIds(typed(value)?),
            "requests" => Self::Requests(typed(value)?),
            "preflights" => Self::Preflights(typed(value)?),
            "error" => Self::Error(typed(value)?),
            "server_open_connections" => Self::OpenConnections(typed(value)?),
            "wait_ms" => Self::Wait(Duration::from_millis(typed(value)?)),
            "delay_ms" => {
                let tolerance = expect.get("tolerance").map_or(Ok(0.0), typed::<f64>)?;
                Self::delay(Duration::from_millis(typed(value)?), tolerance)?
            }
            _ => {
                let (which, rest) = Which::strip(key);
                Self::Request(which, Aspect::parse(rest, value)?)
            }
        })
    }

    fn delay(told: Duration, tolerance: f64) -> Result<Self, String> {
        if !(0.0..1.0).contains(&tolerance) {
            return Err("a tolerance is a ratio".to_owned());
        }
        let late = told.mul_f64(LATE_RATIO).clamp(LATE_MIN, LATE_MAX);
        Ok(Self::Delay { least: told.mul_f64(1.0 - tolerance), most: told + late })
    }

    /// Holds the expectation against what was seen.
    ///
    /// # Errors
    ///
    /// Says what is otherwise.
    pub(super) fn check(&self, seen: &Seen, all: &[Self]) -> Result<(), String> {
        let client = &seen.client;
        match self {
            Self::State(state) => same("state", client.states.last(), Some(state)),
            Self::States(states) => same("states", &client.states, states),
            Self::Events(expected) => {
                let events = client.events.iter().map(|event| json!({
                    "type": event.r#type, "data": event.data, "lastEventId": event.last_event_id,
                }));
                let events: Vec<_> = events.collect();
                client.same_events("events", &events, expected, all)
            }
            Self::LastEventIds(expected) => {
                let ids: Vec<_> = client.events.iter().map(|e| json!(e.last_event_id)).collect();
                let expected: Vec<_> = expected.iter().map(|id| json!(id)).collect();
                client.same_events("last event ids", &ids, &expected, all)
            }
            Self::Requests(count) => same("requests", seen.requests.len(), *count),
            Self::Preflights(count) => {
                // A preflight comes before its request: none is missing once all of these came.
                at_least("requests", seen.requests.len(), seen.steps)?;
                same("preflights", seen.preflights, *count)
            }
            Self::Error(expected) => same("an error", !client.errors.is_empty(), *expected),
            Self::Delay { least, most } => seen.check_delay(*least, *most),
            Self::OpenConnections(_) | Self::Wait(_) => Ok(()),
            Self::Request(which, aspect) => which.check(aspect, seen),
        }
    }

    /// How long everything must stay as it is after it has come about.
    pub(super) fn quiet(all: &[Self]) -> Duration {
        let wait = all.iter().find_map(|expectation| match expectation {
            Self::Wait(wait) => Some(*wait),
            _ => None,
        });
        wait.unwrap_or(QUIET)
    }
}

impl Observed {
    /// Notes an error.
    pub(super) fn error(&mut self, text: &str) {
        self.events_before_error.get_or_insert(self.events.len());
        self.errors.push(text.to_owned());
    }

    /// Compares the events with those expected. Where an error is expected that the stream
    /// survives, a case may name only the events before it.
    fn same_events(
        &self,
        what: &str,
        all: &[Value],
        expected: &[Value],
        expectations: &[Expectation],
    ) -> Result<(), String> {
        let is_as_expected = |events: &[Value]| {
            events.len() == expected.len()
                && events.iter().zip(expected).all(|(event, expected)| matches(event, expected))
        };
        let before_error = match self.events_before_error {
            Some(count) if expectations.contains(&Expectation::Error(true)) => &all[..count],
            _ => all,
        };
        if is_as_expected(all) || is_as_expected(before_error) {
            return Ok(());
        }
        Err(format!("{what}: {}, expected {}", json!(all), json!(expected)))
    }
}

/// Whether an event, or its id, is what is expected of it.
fn matches(event: &Value, expected: &Value) -> bool {
    match (event, expected) {
        (Value::Object(event), Value::String(data)) => event["data"] == **data,
        (Value::Object(event), Value::Object(expected)) => {
            expected.iter().all(|(key, value)| event.get(key) == Some(value))
        }
        (event, expected) => event == expected,
    }
}

impl Seen {
    fn check_delay(&self, least: Duration, most: Duration) -> Result<(), String> {
        let [first, second, ..] = self.requests.as_slice() else {
            return Err("no second request".to_owned());
        };
        let ended = first.ended.ok_or("the first answer has no end")?;
        let delay = second.at.saturating_duration_since(ended);
        if (least..=most).contains(&delay) {
            return Ok(());
        }
        Err(format!("a delay of {delay:?}, expected between {least:?} and {most:?}"))
    }
}

impl Which {
    /// What the key of an expectation says of which requests it is about, and the rest of the key.
    fn strip(key: &str) -> (Self, &str) {
        let prefixes = [
            ("first_", Self::First),
            ("second_", Self::Second),
            ("third_", Self::Third),
            ("every_later_", Self::EveryLater),
        ];
        let found =
            prefixes.iter().find_map(|(start, which)| Some((*which, key.strip_prefix(start)?)));
        found.unwrap_or((Self::First, key))
    }

    fn check(self, aspect: &Aspect, seen: &Seen) -> Result<(), String> {
        let (index, count) = match self {
            Self::First => (0, 1),
            Self::Second => (1, 1),
            Self::Third => (2, 1),
            Self::EveryLater => {
                at_least("requests", seen.requests.len(), seen.steps.max(2))?;
                (1, seen.requests.len() - 1)
            }
        };
        at_least("requests", seen.requests.len(), index + count)?;
        seen.requests[index..index + count].iter().try_for_each(|request| aspect.check(request))
    }
}

impl Aspect {
    fn parse(key: &str, value: &Value) -> Result<Self, String> {
        Ok(match key.strip_prefix("request_").unwrap_or(key) {
            "headers" => Self::Headers(typed(value)?),
            "absent_headers" => Self::AbsentHeaders(typed(value)?),
            "method" => Self::Method(typed(value)?),
            "path" => Self::Path(typed(value)?),
            "body" => Self::Body(typed(value)?),
            "has_cookie" => Self::HasCookie(typed(value)?),
            _ => return Err("unknown expectation".to_owned()),
        })
    }

    fn check(&self, request: &Request) -> Result<(), String> {
        match self {
            Self::Headers(headers) => headers
                .iter()
                .try_for_each(|(name, value)| same(name, request.header(name), value.clone())),
            Self::AbsentHeaders(names) => {
                names.iter().try_for_each(|name| same(name, request.header(name), None))
            }
            Self::Method(method) => same("method", &request.method, method),
            Self::Path(path) => same("path", &request.path, path),
            Self::Body(body) => same("body", String::from_utf8_lossy(&request.body), body.into()),
            Self::HasCookie(has) => same("a cookie", request.header("Cookie").is_some(), *has),
        }
    }
}

fn typed<T: for<'de> Deserialize<'de>>(value: &Value) -> Result<T, String> {
    T::deserialize(value).map_err(|error| error.to_string())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, actual: T, expected: T) -> Result<(), String> {
    if actual == expected {
        return Ok(());
    }
    Err(format!("{what}: {actual:?}, expected {expected:?}"))
}

fn at_least(what: &str, actual: usize, least: usize) -> Result<(), String> {
    if actual >= least {
        return Ok(());
    }
    Err(format!("{what}: {actual}, expected at least {least}"))
}
