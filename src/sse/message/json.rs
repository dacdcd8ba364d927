//! A message as a value: an object for people and JSON, the text on the wire for formats without names.

use std::{num::NonZeroU64, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{Line, Message};
use crate::sse::{EventId, EventType};

/// The object: `{"id","event","retry","data","conflation_key"}`, as `POST /publish` takes it, with what is not set left out.
/// With comments, `lines` stands in place of `data`, because the order of both is part of the message.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<EventId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event: Option<EventType>,
    /// Milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lines: Option<Vec<OwnedLine>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conflation_key: Option<Box<str>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OwnedLine {
    Data(String),
    Comment(String),
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            Object::from(self).serialize(serializer)
        } else {
            serializer.collect_str(self)
        }
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return Object::deserialize(deserializer)?.into_message().map_err(D::Error::custom);
        }
        let text = String::deserialize(deserializer)?;
        // No bytes are the encoding of the empty message.
        if text.is_empty() { Ok(Self::empty()) } else { text.parse().map_err(D::Error::custom) }
    }
}

impl From<&Message> for Object {
    fn from(message: &Message) -> Self {
        let plain = message.lines().all(|line| matches!(line, Line::Data(_)));
        let texts: Vec<_> = message.lines().map(Line::text).collect();
        let lines = message.lines().map(OwnedLine::from);
        Self {
            id: message.event_id().cloned(),
            event: message.event_type().cloned(),
            retry: message.retry_millis.map(NonZeroU64::get),
            data: (plain && !texts.is_empty()).then(|| texts.join("\n")),
            lines: (!plain).then(|| lines.collect()),
            conflation_key: message.conflation_key.clone(),
        }
    }
}

impl Object {
    fn into_message(self) -> Result<Message, &'static str> {
        let mut message = Message {
            id: self.id,
            event: self.event,
            conflation_key: self.conflation_key,
            ..Message::empty()
        };
        if let Some(millis) = self.retry {
            message = message.retry(Duration::from_millis(millis));
        }
        match (self.data, self.lines) {
            (Some(_), Some(_)) => return Err("a message has `data` or `lines`, not both"),
            (Some(data), None) => message = message.data(&data),
            (None, lines) => {
                for line in lines.into_iter().flatten() {
                    message = match line {
                        OwnedLine::Data(text) => message.data(&text),
                        OwnedLine::Comment(text) => message.comment(&text),
                    };
                }
            }
        }
        Ok(message)
    }
}

impl From<Line<'_>> for OwnedLine {
    fn from(line: Line<'_>) -> Self {
        match line {
            Line::Data(text) => Self::Data(text.to_owned()),
            Line::Comment(text) => Self::Comment(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_json(message: &Message, json: &str) {
        assert_eq!(serde_json::to_string(message).unwrap(), json);
        assert_eq!(&serde_json::from_str::<Message>(json).unwrap(), message);
    }

    #[test]
    fn json_is_the_object_that_is_published() {
        let message = Message::new("a\nb\n")
            .id(EventId::new("7").unwrap())
            .event(EventType::new("t").unwrap())
            .retry(Duration::from_secs(2));
        assert_json(&message, r#"{"id":"7","event":"t","retry":2000,"data":"a\nb\n"}"#);
        let keyed = Message::new("a").conflate_by("k");
        assert_json(&keyed, r#"{"data":"a","conflation_key":"k"}"#);
        assert_json(&Message::empty(), "{}");
        assert_json(&Message::new(""), r#"{"data":""}"#);
    }

    #[test]
    fn comments_keep_their_place() {
        let message = Message::empty().comment("x").data("a\nb").comment("");
        let json = r#"{"lines":[{"comment":"x"},{"data":"a"},{"data":"b"},{"comment":""}]}"#;
        assert_json(&message, json);
    }

    #[test]
    fn json_cannot_smuggle_a_line() {
        for (json, fault) in [
            (r#"{"id":"a\nb"}"#, "event id has a line feed at byte 1"),
            (r#"{"event":"a\rb"}"#, "event type has a carriage return at byte 1"),
            (r#"{"data":"a","lines":[]}"#, "`data` or `lines`, not both"),
            (r#"{"dat":"a"}"#, "unknown field `dat`"),
        ] {
            let error = serde_json::from_str::<Message>(json).unwrap_err().to_string();
            assert!(error.contains(fault), "{error}");
        }
        let message: Message =
            serde_json::from_str(r#"{"lines":[{"comment":"a\ndata: forged"}]}"#).unwrap();
        assert_eq!(message.to_string(), ": a\n: data: forged\n\n");
    }

    #[test]
    fn a_format_without_names_carries_the_text() {
        for message in [Message::empty(), Message::new("a\n").comment("c")] {
            let bytes = postcard::to_allocvec(&message).unwrap();
            assert_eq!(postcard::from_bytes::<Message>(&bytes).unwrap(), message);
        }
    }
}
