//! A message of any parts: its length is known before it is encoded, its text and its JSON read back
//! as the same message, and a client gets exactly what was published.

#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use fanfare::sse::{Event, EventId, EventType, Line, Message, Parser};
use fanfare_fuzz::{Item, Pieces, read};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Parts {
    id: Option<String>,
    event: Option<String>,
    retry: Option<Duration>,
    lines: Vec<Part>,
    id_from_outside: Option<String>,
    pieces: Pieces,
}

#[derive(Arbitrary, Debug)]
enum Part {
    Data(String),
    Comment(String),
}

fuzz_target!(|parts: Parts| {
    let message = build(&parts);
    let bytes = message.to_bytes();
    assert_eq!(bytes.len(), message.encoded_len(None));
    assert_eq!(message.is_empty(), bytes.is_empty());
    assert_eq!(message.to_string().as_bytes(), bytes);
    // No bytes are the encoding of the empty message alone, and no text of one.
    if !message.is_empty() {
        assert_eq!(message.to_string().parse(), Ok(message.clone()));
        assert_eq!(Message::try_from(&*bytes), Ok(message.clone()));
    }
    let json = serde_json::to_string(&message).expect("a message is JSON");
    assert_eq!(serde_json::from_str::<Message>(&json).expect("its own JSON"), message, "{json}");

    assert_received(&parts, &message, &bytes);
    assert_id_from_outside(&parts, &message);
});

fn build(parts: &Parts) -> Message {
    let mut message = Message::empty();
    if let Some(id) = parts.id.as_deref().and_then(|text| EventId::new(text).ok()) {
        message = message.id(id);
    }
    if let Some(event) = parts.event.as_deref().and_then(|text| EventType::new(text).ok()) {
        message = message.event(event);
    }
    if let Some(after) = parts.retry {
        message = message.retry(after);
    }
    parts.lines.iter().fold(message, |message, part| match part {
        Part::Data(text) => message.data(text),
        Part::Comment(text) => message.comment(text),
    })
}

/// What is read of the bytes is what the parts were, with LF for every line end.
fn assert_received(parts: &Parts, message: &Message, bytes: &[u8]) {
    let mut parser = Parser::new().comments(true);
    let received = read(&mut parser, parts.pieces.of(bytes));
    let (mut data, mut comments) = (Vec::new(), Vec::new());
    for part in &parts.lines {
        match part {
            Part::Data(text) => data.push(with_lf(text)),
            Part::Comment(text) => {
                comments.extend(with_lf(text).split('\n').map(|line| format!(" {line}")));
            }
        }
    }
    let id = message.event_id().map_or("", EventId::as_str);
    let mut events = Vec::new();
    let mut texts = Vec::new();
    for item in received.items {
        match item {
            Item::Event(event) => events.push(event),
            Item::Comment(text) => texts.push(text),
        }
    }
    assert_eq!(texts, comments);
    assert_eq!((received.fault, &*received.last_event_id), (None, id));
    assert_eq!(received.reconnection_time, message.retry_after());
    assert_eq!(events.len(), usize::from(!data.is_empty()));
    let event_type = message.event_type().map_or("", EventType::as_str);
    for event in &events {
        assert_eq!(event.data(), data.join("\n"));
        assert_eq!(event.last_event_id(), id);
        assert_eq!(event.event_type(), if event_type.is_empty() { "message" } else { event_type });
    }
    assert_json(&events);

    let lines: Vec<_> = message.lines().filter(|line| matches!(line, Line::Data(_))).collect();
    assert_eq!(
        lines.iter().map(|line| line.text()).collect::<Vec<_>>().join("\n"),
        data.join("\n")
    );
}

fn assert_json(events: &[Event]) {
    let json = serde_json::to_string(events).expect("events are JSON");
    assert_eq!(serde_json::from_str::<Vec<Event>>(&json).expect("their own JSON"), events);
}

fn assert_id_from_outside(parts: &Parts, message: &Message) {
    let Some(id) = parts.id_from_outside.as_deref().and_then(|id| EventId::new(id).ok()) else {
        return;
    };
    let mut out = vec![0; message.encoded_len(Some(id.as_str()))];
    assert_eq!(message.encode_into(Some(id.as_str()), &mut out), out.len());
    let with_id =
        if message.event_id().is_some() { message.clone() } else { message.clone().id(id) };
    assert_eq!(out, with_id.to_bytes());
}

fn with_lf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}
