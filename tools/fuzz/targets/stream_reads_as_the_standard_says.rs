//! The parser against a second reading of the [standard][html], as its text says it: decode the whole
//! stream, split it into lines, take line by line. No bound is in play.
//!
//! [html]: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

#![no_main]

use std::time::Duration;

use fanfare::sse::{Dialect, EventRef, ParseError};
use fanfare_fuzz::{Item, Plan, Reading, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Plan, &[u8])| {
    let (plan, stream) = input;
    let plan = plan.unbounded();
    let parsed = read(&mut plan.parser(), plan.pieces(stream));
    assert_eq!(parsed, Reference::read(&plan, stream));
});

/// The buffers of the standard's text, and what came out of them.
struct Reference {
    dialect: Dialect,
    data: String,
    event_type: Option<String>,
    id: Option<String>,
    reading: Reading,
}

impl Reference {
    fn read(plan: &Plan, stream: &[u8]) -> Reading {
        let mut reference = Self {
            dialect: plan.dialect(),
            data: String::new(),
            event_type: None,
            id: None,
            reading: Reading {
                items: Vec::new(),
                fault: None,
                last_event_id: String::new(),
                reconnection_time: None,
            },
        };
        let text = String::from_utf8_lossy(stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream));
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let (lines, unfinished) =
            text.rsplit_once('\n').map_or(("", &*text), |(lines, last)| (lines, last));
        if text.contains('\n') {
            lines.split('\n').for_each(|line| reference.take(line, plan.comments()));
        }
        if plan.dialect() == Dialect::GoSse {
            if unfinished.is_empty() {
                reference.dispatch();
            } else {
                reference.reading.fault = Some(ParseError::UnexpectedEnd);
            }
        }
        reference.reading
    }

    fn take(&mut self, line: &str, comments: bool) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let field = value.strip_prefix(' ').unwrap_or(value);
        match name {
            _ if line.is_empty() => self.dispatch(),
            "" if comments => self.reading.items.push(Item::Comment(value.to_owned())),
            "event" => self.event_type = Some(field.to_owned()),
            "data" => self.data += &format!("{field}\n"),
            "id" if !field.contains('\0') => self.id = Some(field.to_owned()),
            "retry" if field.bytes().all(|byte| byte.is_ascii_digit()) => {
                let time = field.parse().ok().map(Duration::from_millis);
                self.reading.reconnection_time = time.or(self.reading.reconnection_time);
            }
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        let (id, event_type) = (self.id.take(), self.event_type.take());
        let mut is_event = !self.data.is_empty();
        if self.dialect == Dialect::GoSse {
            is_event |= id.is_some() || event_type.is_some();
        }
        if let Some(id) = id {
            self.reading.last_event_id = id;
        }
        let data = std::mem::take(&mut self.data);
        if !is_event {
            return;
        }
        let mut event_type = event_type.unwrap_or_default();
        if event_type.is_empty() && self.dialect == Dialect::Standard {
            "message".clone_into(&mut event_type);
        }
        let event = EventRef {
            event_type: &event_type,
            data: data.strip_suffix('\n').unwrap_or(&data),
            last_event_id: &self.reading.last_event_id,
        };
        self.reading.items.push(Item::Event(event.to_event()));
    }
}
