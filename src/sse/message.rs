//! What is published, and how it is encoded.
//!
//! A message is encoded once for all its receivers, so work is put where it is done least often:
//! `data` and comment lines are split and framed as they are appended, and encoding is then an exact
//! length, known before the first byte, and a handful of copies. It does not allocate.

use std::{fmt, num::NonZeroU64, time::Duration};

use super::{
    field::{EventId, EventType, Field, check},
    line::split_line,
};

mod json;
mod parse;

pub use parse::MessageError;

/// A line of a [`Message`] that is its content. There is no line end in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'m> {
    /// Text that clients get.
    Data(&'m str),
    /// Text that clients ignore.
    Comment(&'m str),
}

impl<'m> Line<'m> {
    /// The text, whatever it is for.
    pub fn text(self) -> &'m str {
        match self {
            Self::Data(text) | Self::Comment(text) => text,
        }
    }
}

/// What is published: data, comments, and optionally an id, a type and a reconnection time.
///
/// Data is exact: a client gets the text that was given, but for its line ends, which the format can
/// carry only as LF. Splitting is at CR, LF and CRLF and nowhere else, so n line ends make n + 1
/// `data` lines, and the empty text makes one empty line.
///
/// Topics are no part of a message: they are named where it is published.
///
/// [`Display`](fmt::Display) writes it as it goes over the wire, and [`FromStr`](std::str::FromStr) reads that back.
///
/// ```
/// use std::time::Duration;
/// use fanfare::sse::{EventId, EventType, Message};
///
/// let message = Message::new("first\nsecond")
///     .id(EventId::new("7")?)
///     .event(EventType::new("price")?)
///     .retry(Duration::from_secs(2));
/// assert_eq!(
///     message.to_bytes(),
///     b"id: 7\nevent: price\nretry: 2000\ndata: first\ndata: second\n\n",
/// );
/// # Ok::<(), fanfare::sse::FieldError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    id: Option<EventId>,
    event: Option<EventType>,
    retry_millis: Option<NonZeroU64>,
    /// The `data` and comment lines, already as on the wire, in the order they were appended.
    lines: String,
    conflation_key: Option<Box<str>>,
}

impl Message {
    /// A message with `data`.
    ///
    /// ```
    /// use fanfare::sse::Message;
    ///
    /// assert_eq!(Message::new("hello").to_bytes(), b"data: hello\n\n");
    /// assert_eq!(Message::new("").to_bytes(), b"data: \n\n");
    /// ```
    pub fn new(data: impl AsRef<str>) -> Self {
        Self::default().data(data.as_ref())
    }

    /// A message with nothing set, which encodes to no bytes at all.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Sets the id.
    #[must_use]
    pub fn id(mut self, id: EventId) -> Self {
        self.id = Some(id);
        self
    }

    /// Sets the type.
    #[must_use]
    pub fn event(mut self, event: EventType) -> Self {
        self.event = Some(event);
        self
    }

    /// Sets the time a client waits before it reconnects, in whole milliseconds, rounded down.
    ///
    /// Below 1 ms nothing is written, so that no message can tell its clients not to wait at all.
    #[must_use]
    pub fn retry(mut self, after: Duration) -> Self {
        let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        self.retry_millis = NonZeroU64::new(millis);
        self
    }

    /// Appends data. A client sees a line end between what two calls appended.
    ///
    /// ```
    /// use fanfare::sse::Message;
    ///
    /// let message = Message::new("a").data("b\r\nc\n");
    /// assert_eq!(message.to_bytes(), b"data: a\ndata: b\ndata: c\ndata: \n\n");
    /// ```
    #[must_use]
    pub fn data(mut self, text: &str) -> Self {
        append_lines(&mut self.lines, DATA, text);
        self
    }

    /// Appends a comment, which clients ignore, split into lines as data is.
    ///
    /// ```
    /// use fanfare::sse::Message;
    ///
    /// assert_eq!(Message::empty().comment("still here").to_bytes(), b": still here\n\n");
    /// ```
    #[must_use]
    pub fn comment(mut self, text: &str) -> Self {
        append_lines(&mut self.lines, COMMENT, text);
        self
    }

    /// Says that a later message with this key, on the same topic, stands for this one: a subscriber
    /// that asked for conflation and lags is spared it. The key is not sent; it has at most
    /// [`CONFLATION_KEY_BYTES_MAX`](crate::limits::CONFLATION_KEY_BYTES_MAX).
    ///
    /// ```
    /// use fanfare::Message;
    ///
    /// let price = Message::new("1.0842").conflate_by("EURUSD");
    /// assert_eq!(price.to_bytes(), b"data: 1.0842\n\n");
    /// ```
    #[must_use]
    pub fn conflate_by(mut self, key: &str) -> Self {
        self.conflation_key = Some(key.into());
        self
    }

    /// The conflation key, if one was set.
    pub fn conflation_key(&self) -> Option<&str> {
        self.conflation_key.as_deref()
    }

    /// The id, if one was set.
    pub fn event_id(&self) -> Option<&EventId> {
        self.id.as_ref()
    }

    /// The type, if one was set.
    pub fn event_type(&self) -> Option<&EventType> {
        self.event.as_ref()
    }

    /// The reconnection time in whole milliseconds, if one of at least 1 ms was set.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_millis.map(|millis| Duration::from_millis(millis.get()))
    }

    /// The data and comment lines, in the order they were appended.
    ///
    /// ```
    /// use fanfare::sse::{Line, Message};
    ///
    /// let message = Message::new("a\nb").comment("c");
    /// let lines = [Line::Data("a"), Line::Data("b"), Line::Comment("c")];
    /// assert!(message.lines().eq(lines));
    /// ```
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.lines.split_terminator(END).map(|line| match line.strip_prefix(DATA) {
            Some(text) => Line::Data(text),
            None => Line::Comment(line.strip_prefix(COMMENT).unwrap_or_default()),
        })
    }

    /// Whether nothing is set, so that the message encodes to no bytes.
    pub fn is_empty(&self) -> bool {
        let Self { id, event, retry_millis, lines, conflation_key: _ } = self;
        id.is_none() && event.is_none() && retry_millis.is_none() && lines.is_empty()
    }

    /// The exact number of bytes [`encode_into`](Self::encode_into) writes, given the same `id`.
    pub fn encoded_len(&self, id: Option<&str>) -> usize {
        let id = self.id_or(id).map_or(0, |id| line_len(ID, id.len()));
        let event = self.event.as_ref().map_or(0, |event| line_len(EVENT, event.as_str().len()));
        let retry = self.retry_millis.map_or(0, |millis| line_len(RETRY, decimal_len(millis)));
        let fields = id + event + retry + self.lines.len();
        if fields == 0 { 0 } else { fields + END.len() }
    }

    /// Writes the message to the start of `out` and returns how many bytes it took.
    ///
    /// `id` is written where the message has none of its own; one of its own always wins. It must
    /// be what an [`EventId`] may be, which is checked in debug builds only: it is the engine's.
    ///
    /// ```
    /// use fanfare::sse::Message;
    ///
    /// let message = Message::new("hello");
    /// let mut out = vec![0; message.encoded_len(Some("5"))];
    /// assert_eq!(message.encode_into(Some("5"), &mut out), out.len());
    /// assert_eq!(out, b"id: 5\ndata: hello\n\n");
    /// ```
    ///
    /// # Panics
    ///
    /// If `out` is shorter than [`encoded_len`](Self::encoded_len) says.
    pub fn encode_into(&self, id: Option<&str>, out: &mut [u8]) -> usize {
        let mut at = 0;
        let mut put = |part: &[u8]| {
            out[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        };
        if let Some(id) = self.id_or(id) {
            put_line(&mut put, ID, id.as_bytes());
        }
        if let Some(event) = &self.event {
            put_line(&mut put, EVENT, event.as_str().as_bytes());
        }
        if let Some(millis) = self.retry_millis {
            put_line(&mut put, RETRY, decimal(millis, &mut [0; DECIMAL_LEN_MAX]));
        }
        put(self.lines.as_bytes());
        if at > 0 {
            out[at..at + END.len()].copy_from_slice(END.as_bytes());
            at += END.len();
        }
        at
    }

    /// The encoded message in a vector of its own, with no id but the message's.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.encoded_len(None)];
        self.encode_into(None, &mut bytes);
        bytes
    }

    fn id_or<'a>(&'a self, id: Option<&'a str>) -> Option<&'a str> {
        debug_assert!(id.is_none_or(|id| check(Field::Id, id.as_bytes()).is_ok()), "{id:?}");
        self.id.as_ref().map(EventId::as_str).or(id)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.to_bytes();
        f.write_str(str::from_utf8(&bytes).expect("every part of a message is text"))
    }
}

const ID: &str = "id: ";
const EVENT: &str = "event: ";
const RETRY: &str = "retry: ";
const DATA: &str = "data: ";
const COMMENT: &str = ": ";
const END: &str = "\n";

/// Digits of `u64::MAX`.
const DECIMAL_LEN_MAX: usize = 20;

fn line_len(name: &str, value_len: usize) -> usize {
    name.len() + value_len + END.len()
}

#[inline]
fn put_line(put: &mut impl FnMut(&[u8]), name: &str, value: &[u8]) {
    put(name.as_bytes());
    put(value);
    put(END.as_bytes());
}

fn decimal_len(n: NonZeroU64) -> usize {
    n.ilog10() as usize + 1
}

fn decimal(n: NonZeroU64, buffer: &mut [u8; DECIMAL_LEN_MAX]) -> &[u8] {
    let digits = &mut buffer[..decimal_len(n)];
    let mut rest = n.get();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

/// Appends every line of `text`, the one after its last line end included, as a line of its own.
fn append_lines(lines: &mut String, name: &str, mut text: &str) {
    // Enough for one line, the common case; more lines grow the string by doubling.
    lines.reserve(line_len(name, text.len()));
    while let Some((line, rest)) = split_line(text) {
        append_line(lines, name, line);
        text = rest;
    }
    append_line(lines, name, text);
}

fn append_line(lines: &mut String, name: &str, text: &str) {
    lines.push_str(name);
    lines.push_str(text);
    lines.push_str(END);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_bytes(message: &Message, expected: &str) {
        assert_eq!(String::from_utf8(message.to_bytes()).unwrap(), expected);
        assert_eq!(message.encoded_len(None), expected.len());
    }

    fn id(text: &str) -> EventId {
        EventId::new(text).unwrap()
    }

    fn event(text: &str) -> EventType {
        EventType::new(text).unwrap()
    }

    #[test]
    fn fields_come_in_fixed_order_and_lines_as_appended() {
        let message = Message::empty()
            .comment("one")
            .data("two")
            .comment("three")
            .retry(Duration::from_micros(1_999))
            .event(event("t"))
            .id(id("i"));
        assert_bytes(&message, "id: i\nevent: t\nretry: 1\n: one\ndata: two\n: three\n\n");
    }

    #[test]
    fn nothing_set_is_no_bytes() {
        assert_bytes(&Message::empty(), "");
        assert_bytes(&Message::default().retry(Duration::from_micros(999)), "");
        assert!(Message::empty().is_empty());
        assert_eq!(Message::empty().encode_into(None, &mut []), 0);
    }

    #[test]
    fn one_field_is_enough_for_an_event() {
        assert_bytes(&Message::empty().id(id("")), "id: \n\n");
        assert_bytes(&Message::empty().event(event("")), "event: \n\n");
        assert_bytes(&Message::empty().retry(Duration::from_millis(1)), "retry: 1\n\n");
        assert_bytes(&Message::empty().comment(""), ": \n\n");
        assert_bytes(&Message::new(""), "data: \n\n");
    }

    #[test]
    fn line_ends_split_and_n_of_them_make_one_line_more() {
        assert_bytes(&Message::new("a\n"), "data: a\ndata: \n\n");
        assert_bytes(&Message::new("\n"), "data: \ndata: \n\n");
        assert_bytes(
            &Message::new("a\rb\r\nc\n\rd"),
            "data: a\ndata: b\ndata: c\ndata: \ndata: d\n\n",
        );
        assert_bytes(&Message::empty().comment("a\ndata: b"), ": a\n: data: b\n\n");
        assert_bytes(
            &Message::new("a\u{b}\u{c}\u{85}\u{2028}b"),
            "data: a\u{b}\u{c}\u{85}\u{2028}b\n\n",
        );
        assert_bytes(&Message::new(" a: b"), "data:  a: b\n\n");
    }

    #[test]
    fn splitting_is_per_call() {
        assert_bytes(&Message::new("a\r").data("\nb"), "data: a\ndata: \ndata: \ndata: b\n\n");
    }

    #[test]
    fn retry_is_whole_milliseconds_up_to_the_longest() {
        for (after, digits) in [
            (Duration::from_millis(9), "9"),
            (Duration::from_millis(10), "10"),
            (Duration::from_millis(1_001), "1001"),
            (Duration::from_millis(u64::MAX), "18446744073709551615"),
            (Duration::MAX, "18446744073709551615"),
        ] {
            assert_bytes(&Message::empty().retry(after), &format!("retry: {digits}\n\n"));
        }
        let message = Message::empty().retry(Duration::from_micros(2_500));
        assert_eq!(message.retry_after(), Some(Duration::from_millis(2)));
        assert_eq!(message.retry(Duration::ZERO).retry_after(), None);
    }

    #[test]
    fn an_id_from_outside_fills_in_for_an_absent_one_only() {
        let encode = |message: &Message| {
            let mut out = vec![0; message.encoded_len(Some("x"))];
            assert_eq!(message.encode_into(Some("x"), &mut out), out.len());
            String::from_utf8(out).unwrap()
        };
        assert_eq!(encode(&Message::new("a")), "id: x\ndata: a\n\n");
        assert_eq!(encode(&Message::new("a").id(id("own"))), "id: own\ndata: a\n\n");
        assert_eq!(encode(&Message::new("a").id(id(""))), "id: \ndata: a\n\n");
        assert_eq!(encode(&Message::empty()), "id: x\n\n");
    }

    #[test]
    fn a_longer_buffer_keeps_what_is_behind_the_message() {
        let mut out = [b'#'; 16];
        let len = Message::new("a").encode_into(None, &mut out);
        assert_eq!(&out[..len], b"data: a\n\n");
        assert!(out[len..].iter().all(|byte| *byte == b'#'));
    }

    #[test]
    fn a_clone_is_independent() {
        let first = Message::new("a");
        let second = first.clone().data("b");
        assert_ne!(first, second);
        assert_bytes(&first, "data: a\n\n");
        assert_bytes(&second, "data: a\ndata: b\n\n");
    }
}
