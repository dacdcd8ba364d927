//! What a client receives.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};

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
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "Parts")]
pub struct Event {
    /// Borrowed for the usual type, which then costs no allocation.
    event_type: Cow<'static, str>,
    /// The data and then the id: one allocation for both.
    text: String,
    data_len: usize,
}

/// An event's parts as a format has them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parts {
    #[serde(rename = "type")]
    event_type: String,
    data: String,
    last_event_id: String,
}

impl Event {
    /// The type: `message` where the stream names none.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// The data: the values of the `data` lines, with LF between them.
    pub fn data(&self) -> &str {
        &self.text[..self.data_len]
    }

    /// The data, taken out.
    pub fn into_data(mut self) -> String {
        self.text.truncate(self.data_len);
        self.text
    }

    /// The latest id of the stream, which an earlier event may have brought; empty if there is none.
    pub fn last_event_id(&self) -> &str {
        &self.text[self.data_len..]
    }

    fn as_ref(&self) -> EventRef<'_> {
        EventRef {
            event_type: self.event_type(),
            data: self.data(),
            last_event_id: self.last_event_id(),
        }
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_ref().serialize(serializer)
    }
}

impl From<Parts> for Event {
    fn from(parts: Parts) -> Self {
        let Parts { event_type, data, last_event_id } = &parts;
        EventRef { event_type, data, last_event_id }.to_event()
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
            text: [self.data, self.last_event_id].concat(),
            data_len: self.data.len(),
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
