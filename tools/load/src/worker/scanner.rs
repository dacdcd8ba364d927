//! The event-stream format (WHATWG HTML §9.2.6): lines into fields, fields into events.
//!
//! Incremental over slices: whole lines are read where they lie, only the unfinished line at the
//! end of the input is copied. Lines end in LF, CR LF or CR; a leading byte order mark is dropped.
//! [`Scanner::scan`] stops after every blank line, so a caller sees each boundary between events.

use memchr::{memchr, memchr2};

/// Bytes one line or one event's data may have before the stream is refused.
const EVENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// State between two pieces of input.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    /// The unfinished line at the end of the last input.
    partial: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    kind: EventKind,
    /// The id of the event which is open, if it has one.
    new_id: Vec<u8>,
    has_id: bool,
    /// The id that holds after the events so far.
    id: Vec<u8>,
    has_fields: bool,
    /// The last line ended in CR: a line feed that follows belongs to it.
    after_cr: bool,
    past_first_line: bool,
}

/// What one call has found.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Scanned {
    /// Bytes consumed: up to and with a blank line, or all of them.
    pub(crate) used: usize,
    /// An event ended here; its data is in [`Scanner::data`] until the next call.
    pub(crate) event: Option<EventKind>,
}

/// Which kind of event ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum EventKind {
    /// Without an `event` field, or of the type that this means: what a publisher of this tool sends.
    #[default]
    Message,
    /// Of another type.
    Named,
    /// A server of Fanfare's says that messages were lost.
    Gap,
}

/// A line or an event beyond every bound.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TooLong;

impl Scanner {
    /// Whether nothing is open: the next byte begins an event.
    pub(crate) fn at_boundary(&self) -> bool {
        self.partial.is_empty() && !self.has_fields && !self.after_cr && self.past_first_line
    }

    /// The data of the event that [`Scanner::scan`] has just reported.
    pub(crate) fn data(&self) -> &[u8] {
        &self.data
    }

    /// A scanner of a new stream that goes on after this one: what is left of this one is its id.
    pub(crate) fn restarted(&mut self) -> Self {
        Self { id: std::mem::take(&mut self.id), ..Self::default() }
    }

    /// The id that holds after the events so far: the one to come back with.
    pub(crate) fn id(&self) -> &[u8] {
        &self.id
    }

    /// Consumes `body` up to the end of the event that is open, or to its own end.
    pub(crate) fn scan(&mut self, body: &[u8]) -> Result<Scanned, TooLong> {
        let mut at = 0;
        if self.after_cr && !body.is_empty() {
            self.after_cr = false;
            at = usize::from(body[0] == b'\n');
            if at == 1 && self.at_boundary() {
                return Ok(Scanned { used: 1, event: None });
            }
        }
        while let Some(line_len) = memchr2(b'\n', b'\r', &body[at..]) {
            let end = at + line_len;
            let blank = self.end_line(&body[at..end])?;
            at = end + 1;
            if body[end] == b'\r' {
                match body.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            if blank {
                return Ok(Scanned { used: at, event: self.end_event() });
            }
        }
        self.keep(&body[at..])?;
        Ok(Scanned { used: body.len(), event: None })
    }

    fn keep(&mut self, rest: &[u8]) -> Result<(), TooLong> {
        if self.partial.len() + rest.len() > EVENT_BYTES_MAX {
            return Err(TooLong);
        }
        self.partial.extend_from_slice(rest);
        Ok(())
    }

    /// Takes in one line, whose last part is `rest`. Tells whether it was blank.
    fn end_line(&mut self, rest: &[u8]) -> Result<bool, TooLong> {
        if self.partial.is_empty() && self.past_first_line {
            return self.line(rest);
        }
        self.keep(rest)?;
        let whole = std::mem::take(&mut self.partial);
        let line = match whole.strip_prefix(b"\xef\xbb\xbf") {
            Some(line) if !self.past_first_line => line,
            _ => &whole[..],
        };
        self.past_first_line = true;
        let blank = self.line(line);
        self.partial = whole;
        self.partial.clear();
        blank
    }

    fn line(&mut self, line: &[u8]) -> Result<bool, TooLong> {
        if line.is_empty() {
            return Ok(true);
        }
        if !self.has_fields {
            self.has_fields = true;
            self.data.clear();
        }
        let (name, value) = match memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => self.append_data(value)?,
            b"event" => {
                self.kind = match value {
                    b"" | b"message" => EventKind::Message,
                    b"fanfare.gap" => EventKind::Gap,
                    _ => EventKind::Named,
                }
            }
            b"id" if !value.contains(&0) => {
                self.new_id.clear();
                self.new_id.extend_from_slice(value);
                self.has_id = true;
            }
            _ => {}
        }
        Ok(false)
    }

    fn append_data(&mut self, value: &[u8]) -> Result<(), TooLong> {
        if self.data.len() + value.len() >= EVENT_BYTES_MAX {
            return Err(TooLong);
        }
        if self.has_data {
            self.data.push(b'\n');
        }
        self.has_data = true;
        self.data.extend_from_slice(value);
        Ok(())
    }

    fn end_event(&mut self) -> Option<EventKind> {
        if std::mem::take(&mut self.has_id) {
            std::mem::swap(&mut self.id, &mut self.new_id);
        }
        let event = self.has_data.then_some(self.kind);
        (self.has_data, self.kind, self.has_fields) = (false, EventKind::Message, false);
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(input: &[u8], piece: usize) -> Vec<(EventKind, String)> {
        let mut scanner = Scanner::default();
        let mut events = Vec::new();
        for mut bytes in input.chunks(piece) {
            while !bytes.is_empty() {
                let scanned = scanner.scan(bytes).expect("within bounds");
                if let Some(kind) = scanned.event {
                    events.push((kind, String::from_utf8_lossy(scanner.data()).into_owned()));
                }
                bytes = &bytes[scanned.used..];
            }
        }
        events
    }

    #[test]
    fn any_split_gives_the_same_events() {
        let input = "\u{feff}: hi\nid: 1\ndata: one\n\ndata:two\r\ndata:  2\r\n\r\nevent: x\rdata\r\r\
                     data: a\n:c\nretry: 5\n\n\nid\n\nevent\ndata: last\n\nunfinished: 1\n";
        let expected = [
            (EventKind::Message, "one"),
            (EventKind::Message, "two\n 2"),
            (EventKind::Named, ""),
            (EventKind::Message, "a"),
            (EventKind::Message, "last"),
        ]
        .map(|(kind, data)| (kind, data.to_owned()));
        for piece in 1..=input.len() {
            assert_eq!(events(input.as_bytes(), piece), expected, "pieces of {piece}");
        }
    }

    #[test]
    fn a_boundary_is_seen_after_each_blank_line() {
        let mut scanner = Scanner::default();
        assert!(!scanner.at_boundary(), "a byte order mark may come first");
        assert_eq!(scanner.scan(b"data: 1\r\n\r\ndata").map(|scanned| scanned.used), Ok(11));
        assert!(scanner.at_boundary());
        assert_eq!(scanner.scan(b"data: 2\r\n\r").map(|scanned| scanned.used), Ok(10));
        assert!(!scanner.at_boundary());
        assert_eq!(scanner.scan(b"\ndata"), Ok(Scanned { used: 1, event: None }));
        assert!(scanner.at_boundary());
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut scanner = Scanner::default();
        let piece = vec![b'x'; EVENT_BYTES_MAX / 2 + 1];
        assert!(scanner.scan(&piece).is_ok());
        assert_eq!(scanner.scan(&piece), Err(TooLong));
    }
}
