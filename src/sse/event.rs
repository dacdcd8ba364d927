//! What a client receives.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The type of an event that names none.
pub(super) const MESSAGE: &str = "message";

/// An event as a client received it.
///
/// As JSON it is `{"type":…,"data":…,"lastEventId":…}`, the names that a browser gives it.
///
/// ```
/// use fanfare::sse::{Item, Parser};
///
/// let mut input = &b"id: 7\ndata: hello\n\n"[..];
/// let mut parser = Parser::new();
/// let Some(Item::Event(event)) = parser.next(&mut input)? else { panic!("one event") };
/// let event = event.to_event();
/// assert_eq!((event.event_type(), event.data(), event.last_event_id()), ("message", "hello", "7"));
/// # Ok::<(), fanfare::sse::ParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Borrowed for the usual type, which then costs no allocation.
    #[serde(rename = "type")]
    event_type: Cow<'static, str>,
    data: String,
    last_event_id: Box<str>,
}

impl Event {
    /// The type: `message` where the stream names none.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// The data: the values of the `data` lines, with LF between them.
    pub fn data(&self) -> &str {
        &self.data
    }

    /// The data, taken out.
    pub fn into_data(self) -> String {
        self.data
    }

    /// The latest id of the stream, which an earlier event may have brought; empty if there is none.
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }
}

/// An [`Event`] that still lies in its parser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventRef<'p> {
    /// See [`Event::event_type`].
    #[serde(rename = "type")]
    pub event_type: &'p str,
    /// See [`Event::data`].
    pub data: &'p str,
    /// See [`Event::last_event_id`].
    pub last_event_id: &'p str,
}

impl EventRef<'_> {
    /// The event in memory of its own.
    pub fn to_event(self) -> Event {
        Event {
            event_type: match self.event_type {
                MESSAGE => Cow::Borrowed(MESSAGE),
                other => Cow::Owned(other.to_owned()),
            },
            data: self.data.to_owned(),
            last_event_id: self.last_event_id.into(),
        }
    }
}

impl From<EventRef<'_>> for Event {
    fn from(event: EventRef<'_>) -> Self {
        event.to_event()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_a_browser_s_names_and_comes_back() {
        let event = EventRef { event_type: "price", data: "1\n2", last_event_id: "é" };
        let json = r#"{"type":"price","data":"1\n2","lastEventId":"é"}"#;
        assert_eq!(serde_json::to_string(&event).unwrap(), json);
        assert_eq!(serde_json::to_string(&event.to_event()).unwrap(), json);
        assert_eq!(serde_json::from_str::<Event>(json).unwrap(), event.into());
    }
}
