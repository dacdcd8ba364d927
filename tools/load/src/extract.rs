//! Where in an event's data the payload lies.
//!
//! Some servers pass on what was published as it is, some wrap it in JSON. What they send of
//! themselves in the same shape (a reply to connecting, a ping) has no payload: that is no fault.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where the payload lies.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Place {
    /// It is the data.
    #[default]
    Whole,
    /// It is the text at this JSON pointer (RFC 6901).
    Pointer(String),
}

impl Place {
    /// The payload in `data`; `None` when the event is of another kind and carries none.
    ///
    /// Data that is not as the server says it should be is returned as it is: it is no payload, and
    /// so the audit will say.
    pub(crate) fn find<'d>(&self, data: &'d [u8]) -> Option<Cow<'d, [u8]>> {
        let Self::Pointer(pointer) = self else { return Some(Cow::Borrowed(data)) };
        let Ok(event) = serde_json::from_slice::<Value>(data) else {
            return Some(Cow::Borrowed(data));
        };
        match event.pointer(pointer)? {
            Value::String(payload) => Some(Cow::Owned(payload.clone().into_bytes())),
            _ => Some(Cow::Borrowed(data)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CENTRIFUGO: &str = "/pub/data";

    fn find(pointer: &str, data: &str) -> Option<String> {
        let payload = Place::Pointer(pointer.to_owned()).find(data.as_bytes())?;
        Some(String::from_utf8_lossy(&payload).into_owned())
    }

    #[test]
    fn data_that_is_the_payload_is_left_as_it_is() {
        // Mercure, Nchan, Pushpin, go-sse and Fanfare.
        for data in ["payload", "", "{\"pub\":{\"data\":\"x\"}}"] {
            assert_eq!(Place::Whole.find(data.as_bytes()).as_deref(), Some(data.as_bytes()));
        }
    }

    #[test]
    fn a_publication_of_centrifugo_holds_the_payload() {
        let event = r#"{"channel":"load","pub":{"data":"pay\u006coad","offset":3}}"#;
        assert_eq!(find(CENTRIFUGO, event).as_deref(), Some("payload"));
    }

    #[test]
    fn what_centrifugo_says_itself_is_of_others() {
        let connected = r#"{"connect":{"client":"c7e8","version":"6.0.0","subs":{"load":{}},
            "ping":25,"session":"s"}}"#;
        for event in [connected, "{}", r#"{"disconnect":{"code":3000}}"#] {
            assert_eq!(find(CENTRIFUGO, event), None, "{event}");
        }
    }

    #[test]
    fn what_is_not_as_it_should_be_is_left_for_the_audit() {
        for event in ["payload", r#"{"pub":{"data":"cut"#, r#"{"pub":{"data":{"x":1}}}"#] {
            assert_eq!(find(CENTRIFUGO, event).as_deref(), Some(event));
        }
    }
}
