//! A case of the file: the bytes of a request, and what may come of them.

use serde_json::Value;

use super::subject::Subject;
use crate::harness::scripted::{Bytes, Piece};

const CASES: &str = include_str!("../../conformance/http-request-cases.json");

/// What is not bytes in the file but said in words, and what these words stand for.
const IN_WORDS: [(&str, &str, u64); 2] =
    [(" sent one byte per segment", "", 0), (r"{1\r\nx\r\n x 1000000}", "1\r\nx\r\n", 1_000_000)];

/// Cases that are not played here, and why. Whatever else is in the file is.
pub(super) const NOT_PLAYED: [(&str, &str); 1] =
    [("frag-every-cut", "it is about all the others, and how they are played")];

/// What the names of cases begin with that are about a server that asks who somebody is.
const OF_WHO_IS_ASKED: [&str; 2] = ["auth-", "cookie-"];

/// A request, and what may come of it.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: String,
    request: String,
    statuses: Vec<u16>,
    /// It may also be closed without a word.
    may_be_closed: bool,
    /// That may take as long as the server's deadlines.
    pub(super) is_slow: bool,
    pub(super) then: Then,
}

/// What happens to the connection after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// It is a stream of events, if it is accepted.
    Stream,
    /// It takes another request.
    Keep,
    Close,
    Any,
}

/// What the placeholders of a request stand for.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) host: String,
    pub(super) topic: String,
    pub(super) epoch: String,
}

impl Case {
    /// All cases of the file, those of [`NOT_PLAYED`] among them.
    pub(super) fn all() -> Vec<Self> {
        let cases: Vec<Value> = serde_json::from_str(CASES).expect("the cases are JSON");
        let parse =
            |case: &Value| Self::parse(case).unwrap_or_else(|fault| panic!("{fault}: {case}"));
        cases.iter().map(parse).collect()
    }

    /// Those that are played, the slow ones first.
    pub(super) fn played() -> Vec<Self> {
        let mut cases = Self::all();
        cases.retain(|case| NOT_PLAYED.iter().all(|(name, _)| *name != case.name));
        cases.sort_by_key(|case| !case.is_slow);
        cases
    }

    fn parse(case: &Value) -> Result<Self, String> {
        let fields = case.as_object().ok_or("a case is an object")?;
        let known = ["name", "request", "expect", "then", "why", "source"];
        if let Some(key) = fields.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!("unknown key of a case: {key}"));
        }
        let mut parsed = Self {
            name: case["name"].as_str().ok_or("a case has a name")?.to_owned(),
            request: case["request"].as_str().ok_or("a case has a request")?.to_owned(),
            statuses: Vec::new(),
            may_be_closed: false,
            is_slow: false,
            then: match case["then"].as_str() {
                Some("stream") => Then::Stream,
                Some("keep") => Then::Keep,
                Some("close") => Then::Close,
                Some("any" | "same") => Then::Any,
                then => return Err(format!("unknown end {then:?}")),
            },
        };
        for expected in case["expect"].as_array().ok_or("a case expects something")? {
            match (expected.as_u64(), expected.as_str()) {
                (Some(status), _) => parsed.statuses.push(status.try_into().unwrap_or(0)),
                (_, Some("close")) => parsed.may_be_closed = true,
                // The server's deadline, after which it closes.
                (_, Some("timeout")) => (parsed.may_be_closed, parsed.is_slow) = (true, true),
                (_, Some("same-as-whole")) => {}
                _ => return Err(format!("unknown expectation {expected}")),
            }
        }
        parsed.is_slow |= parsed.statuses.contains(&408);
        Ok(parsed)
    }

    /// The request with its placeholders filled in.
    ///
    /// # Panics
    ///
    /// If there is one, or an escape, that means nothing.
    pub(super) fn bytes(&self, names: &Names, subject: &Subject) -> Vec<u8> {
        let mut text = subject.with_credentials(&self.request, &names.topic);
        let mut repeated = (String::new(), 0);
        for (words, pattern, count) in IN_WORDS {
            if let Some(plain) = text.strip_suffix(words) {
                text = plain.to_owned();
                repeated = (pattern.to_owned(), count);
            }
        }
        let (subscribe, publish) =
            (format!("/events?topic={}", names.topic), format!("/publish?topic={}", names.topic));
        for (placeholder, value) in [
            ("{SUB}", &subscribe),
            ("{PUB}", &publish),
            ("{HOST}", &names.host),
            ("{EPOCH}", &names.epoch),
        ] {
            text = text.replace(placeholder, value);
        }
        let mut bytes =
            Bytes::unescape(&text).unwrap_or_else(|fault| panic!("{}: {fault}", self.name));
        if repeated.1 > 0 {
            bytes.push_repeated(repeated.0.as_bytes(), repeated.1);
        }
        let mut all = Vec::new();
        let taken: Result<(), ()> = bytes.pieces(&[], |piece| {
            if let Piece::Bytes(bytes) = piece {
                all.extend_from_slice(bytes);
            }
            Ok(())
        });
        taken.expect("taking them does not fail");
        assert!(!all.contains(&b'{'), "{}: a placeholder without a meaning", self.name);
        all
    }

    /// Whether this answer, or a close without one, is among what is expected.
    pub(super) fn allows(&self, status: Option<u16>) -> bool {
        status.map_or(self.may_be_closed, |status| self.statuses.contains(&status))
    }

    /// Whether it is for a server that asks who somebody is.
    pub(super) fn needs_keys(&self) -> bool {
        OF_WHO_IS_ASKED.iter().any(|prefix| self.name.starts_with(prefix))
    }

    /// Whether it must be refused, whatever else.
    pub(super) fn is_refused(&self) -> bool {
        self.then == Then::Close && self.statuses.iter().all(|status| *status >= 400)
    }
}
