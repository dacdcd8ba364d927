//! An event stream read back: bytes in, in any pieces, and events out.
//!
//! The rules are those of the [standard][html]. Invariant (ARCHITECTURE.md, I11): the same bytes give
//! the same items and the same error, however they are cut. So everything that is counted against a
//! bound is counted in whole lines or in what has arrived of one, never in pieces of input.
//!
//! Every byte is looked at once to find its line's end and copied once, if it is one of a field. What
//! nobody wants (comments, unknown fields) is passed over without being kept.
//!
//! [html]: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

use std::{borrow::Cow, mem, time::Duration};

use super::{
    event::{EventRef, MESSAGE},
    line::{self, NAME_BYTES_MAX, Name},
};
use crate::limits::{STREAM_EVENT_BYTES_MAX_DEFAULT, STREAM_LINE_BYTES_MAX_DEFAULT};

/// Turns the bytes of an event stream into events, however they arrive.
///
/// The caller reads; the parser has no I/O and no clock. It is a parser for one logical stream: after
/// a lost connection, [`restart`](Self::restart) keeps what the standard keeps.
///
/// Bytes that are not UTF-8 become U+FFFD, and a byte order mark at the very start is dropped.
///
/// ```
/// use fanfare::sse::{Item, Parser};
///
/// let mut parser = Parser::new();
/// let mut data = Vec::new();
/// for mut chunk in [&b"data: one\n\nda"[..], b"ta: two\ndata: lines\n", b"\n"] {
///     while let Some(Item::Event(event)) = parser.next(&mut chunk)? {
///         data.push(event.data.to_owned());
///     }
/// }
/// assert_eq!(data, ["one", "two\nlines"]);
/// # Ok::<(), fanfare::sse::ParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Parser {
    line_bytes_max: usize,
    event_bytes_max: usize,
    comments: bool,
    dialect: Dialect,

    /// Bytes of the byte order mark seen, while nothing else was.
    start: Start,
    /// Whether the last line ended in a CR, so that an LF is the rest of that line end.
    after_cr: bool,
    /// Whether the rest of the line that has begun is passed over.
    skipping: bool,
    /// The beginning of a line whose end has not arrived.
    partial: Vec<u8>,

    block: Block,
    /// A comment on its way to the caller.
    comment: String,
    last_event_id: String,
    reconnection_time: Option<Duration>,
    /// Set once: a stream cannot be read on behind a fault.
    fault: Option<ParseError>,
}

/// The lines since the last blank one.
#[derive(Clone, Debug, Default)]
struct Block {
    /// The caller has been given it; what it holds goes when the next bytes come.
    dispatched: bool,
    /// Bytes of its lines that are fields, without line ends.
    bytes: usize,
    has_data: bool,
    has_type: bool,
    has_id: bool,
    data: String,
    event_type: String,
    id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// So many bytes of the byte order mark have come, and nothing else.
    Mark(u8),
    Over,
}

/// What a client is given of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item<'p> {
    /// An event.
    Event(EventRef<'p>),
    /// A comment: what follows the colon, as it is. Only for who asked for [comments](Parser::comments).
    Comment(&'p str),
}

/// Whose reading of the format a parser follows where there are two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// The standard's, as in browsers.
    #[default]
    Standard,
    /// That of the Go library go-sse, in the points its users rely on:
    ///
    /// - a block with a type or an id is an event also where it has no `data` line;
    /// - a block at the end of the stream is an event also without the blank line behind it;
    /// - a last line that is not ended is [`ParseError::UnexpectedEnd`], not dropped in silence;
    /// - the type of an event that names none is empty, so that it differs from `event: message`.
    GoSse,
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The peer's line is longer than it may be.
    #[error("a line of the stream has more than {max} bytes")]
    LineTooLong {
        /// Most bytes allowed.
        max: usize,
    },
    /// The fields of the peer's event are longer together than they may be.
    #[error("an event of the stream has more than {max} bytes")]
    EventTooLong {
        /// Most bytes allowed.
        max: usize,
    },
    /// The peer's stream ended within a line; only [`Dialect::GoSse`] minds.
    #[error("the stream ended within a line")]
    UnexpectedEnd,
}

const BYTE_ORDER_MARK: [u8; 3] = *b"\xef\xbb\xbf";

impl Default for Parser {
    fn default() -> Self {
        Self {
            line_bytes_max: STREAM_LINE_BYTES_MAX_DEFAULT,
            event_bytes_max: STREAM_EVENT_BYTES_MAX_DEFAULT,
            comments: false,
            dialect: Dialect::Standard,
            start: Start::Mark(0),
            after_cr: false,
            skipping: false,
            partial: Vec::new(),
            block: Block::default(),
            comment: String::new(),
            last_event_id: String::new(),
            reconnection_time: None,
            fault: None,
        }
    }
}

impl Parser {
    /// A parser at the start of a stream, with the default bounds.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bounds a line that is a field (or a wanted comment), without its end. Default
    /// [`STREAM_LINE_BYTES_MAX_DEFAULT`].
    #[must_use]
    pub fn line_bytes_max(mut self, max: usize) -> Self {
        self.line_bytes_max = max;
        self
    }

    /// Bounds the lines of one event that are fields, together, without their ends. Default
    /// [`STREAM_EVENT_BYTES_MAX_DEFAULT`].
    ///
    /// Blank lines, comments and unknown fields never count, so a stream kept alive by them is never
    /// too long.
    #[must_use]
    pub fn event_bytes_max(mut self, max: usize) -> Self {
        self.event_bytes_max = max;
        self
    }

    /// Whether comments are items. By default they are passed over.
    #[must_use]
    pub fn comments(mut self, wanted: bool) -> Self {
        self.comments = wanted;
        self
    }

    /// Sets whose reading of the format to follow.
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// Begins as if an earlier stream had ended with this id.
    #[must_use]
    pub fn resume_from(mut self, last_event_id: &str) -> Self {
        last_event_id.clone_into(&mut self.last_event_id);
        self
    }

    /// The next item, with the bytes that made it taken from the front of `input`.
    ///
    /// `None` if all of `input` is taken and makes no further item: go on with the next bytes.
    ///
    /// # Errors
    ///
    /// [`ParseError`] if a bound is passed; so does every call after that, until a
    /// [`restart`](Self::restart).
    #[inline]
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Item<'_>>, ParseError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        match self.advance(input) {
            Ok(None) => Ok(None),
            Ok(Some(Found::Event)) => Ok(Some(Item::Event(self.event()))),
            Ok(Some(Found::Comment)) => Ok(Some(Item::Comment(&self.comment))),
            Err(fault) => {
                self.fault = Some(fault);
                Err(fault)
            }
        }
    }

    /// Says that the stream has ended in order. What is left of an unfinished event is dropped, and
    /// its id with it; see [`Dialect::GoSse`] for the other reading.
    ///
    /// # Errors
    ///
    /// [`ParseError::UnexpectedEnd`] in that dialect, or the error that an earlier call had.
    pub fn finish(&mut self) -> Result<Option<EventRef<'_>>, ParseError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        self.block.clear_dispatched();
        if self.dialect == Dialect::GoSse {
            if self.is_within_line() {
                self.fault = Some(ParseError::UnexpectedEnd);
                return Err(ParseError::UnexpectedEnd);
            }
            if self.dispatch().is_some() {
                return Ok(Some(self.event()));
            }
        }
        self.restart();
        Ok(None)
    }

    /// Says that a new stream of the same source begins, after a reconnect.
    ///
    /// What is left of an unfinished event is dropped. The last event id and the reconnection time
    /// stay.
    pub fn restart(&mut self) {
        self.start = Start::Mark(0);
        self.after_cr = false;
        self.skipping = false;
        self.partial.clear();
        self.block.clear();
        self.fault = None;
    }

    /// The id that the next request must send as `Last-Event-ID`; empty: none.
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// The time the stream last asked its clients to wait before they reconnect, if it did.
    ///
    /// A `retry` that is not all digits, or beyond 2^64 ms, asks for nothing.
    pub fn reconnection_time(&self) -> Option<Duration> {
        self.reconnection_time
    }

    fn is_within_line(&self) -> bool {
        // What has come of a byte order mark is a line that has begun, until the mark is whole.
        self.skipping || !self.partial.is_empty() || matches!(self.start, Start::Mark(1..))
    }

    fn event(&self) -> EventRef<'_> {
        let event_type = match (&*self.block.event_type, self.dialect) {
            ("", Dialect::Standard) => MESSAGE,
            (event_type, _) => event_type,
        };
        EventRef { event_type, data: &self.block.data, last_event_id: &self.last_event_id }
    }

    #[inline]
    fn advance(&mut self, input: &mut &[u8]) -> Result<Option<Found>, ParseError> {
        self.block.clear_dispatched();
        if self.start != Start::Over {
            self.pass_mark(input);
        }
        loop {
            if self.after_cr
                && let Some((first, rest)) = input.split_first()
            {
                self.after_cr = false;
                if *first == b'\n' {
                    *input = rest;
                }
            }
            let Some(end) = line::find_line_end(input) else {
                return self.keep_partial(mem::take(input)).map(|()| None);
            };
            let text = &input[..end];
            self.after_cr = input[end] == b'\r';
            *input = &input[end + 1..];
            let found = if self.partial.is_empty() && !self.skipping {
                self.take_line(text)?
            } else {
                self.take_last_part(text)?
            };
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// Passes over a byte order mark at the start of the stream, in whatever pieces it comes.
    #[cold]
    fn pass_mark(&mut self, input: &mut &[u8]) {
        while let Start::Mark(seen) = self.start
            && let Some((first, rest)) = input.split_first()
        {
            let seen = usize::from(seen);
            if *first != BYTE_ORDER_MARK[seen] {
                // The beginning of a mark is no mark, but bytes of the first line.
                self.partial.extend(&BYTE_ORDER_MARK[..seen]);
                self.start = Start::Over;
                return;
            }
            *input = rest;
            let whole = seen + 1 == BYTE_ORDER_MARK.len();
            self.start = if whole { Start::Over } else { Start::Mark(seen as u8 + 1) };
        }
    }

    /// Keeps the beginning of a line, unless it is of one that nobody wants.
    fn keep_partial(&mut self, text: &[u8]) -> Result<(), ParseError> {
        if self.skipping || text.is_empty() {
            return Ok(());
        }
        let beginning = self.partial.len().min(NAME_BYTES_MAX + 1);
        // Enough of the line to tell its name, which is settled once there is that much.
        if beginning <= NAME_BYTES_MAX {
            let taken = text.len().min(NAME_BYTES_MAX + 1 - beginning);
            self.partial.extend_from_slice(&text[..taken]);
            if !self.wants(&self.partial) {
                self.partial.clear();
                self.skipping = true;
                return Ok(());
            }
            return self.keep_wanted(&text[taken..]);
        }
        self.keep_wanted(text)
    }

    /// Keeps more of a line, as far as its bounds go.
    fn keep_wanted(&mut self, text: &[u8]) -> Result<(), ParseError> {
        let bytes = self.partial.len() + text.len();
        // A shorter beginning may still turn out to be of a line that counts for nothing.
        if bytes > NAME_BYTES_MAX {
            self.check(bytes, self.partial.first() == Some(&b':'))?;
        }
        self.partial.extend_from_slice(text);
        Ok(())
    }

    fn wants(&self, beginning: &[u8]) -> bool {
        match beginning {
            [b':', ..] => self.comments,
            _ => line::may_be_field(beginning),
        }
    }

    /// The line of which `text` is the last part has ended.
    fn take_last_part(&mut self, text: &[u8]) -> Result<Option<Found>, ParseError> {
        if mem::take(&mut self.skipping) {
            return Ok(None);
        }
        let mut whole = mem::take(&mut self.partial);
        whole.extend_from_slice(text);
        let found = self.take_line(&whole);
        whole.clear();
        self.partial = whole;
        found
    }

    #[inline]
    fn take_line(&mut self, text: &[u8]) -> Result<Option<Found>, ParseError> {
        if text.is_empty() {
            return Ok(self.dispatch());
        }
        let Some((name, value)) = line::split_field(text) else { return Ok(None) };
        if name == Name::Comment {
            return self.take_comment(value, text.len());
        }
        self.check(text.len(), false)?;
        let block = &mut self.block;
        block.bytes += text.len();
        match name {
            Name::Data => block.push_data(value),
            Name::Event => block.set_type(value),
            Name::Id => block.set_id(value),
            // It holds from here on, whatever becomes of the block.
            Name::Retry => {
                self.reconnection_time = line::parse_retry(value).ok().or(self.reconnection_time);
            }
            Name::Comment => {}
        }
        Ok(None)
    }

    fn take_comment(&mut self, text: &[u8], bytes: usize) -> Result<Option<Found>, ParseError> {
        if !self.comments {
            return Ok(None);
        }
        self.check(bytes, true)?;
        self.comment.clear();
        self.comment.push_str(&text_of(text));
        Ok(Some(Found::Comment))
    }

    /// Whether a line of so many bytes, or the beginning of one, is within the bounds. Of two that
    /// are passed the tighter is named: it was passed first, whether or not that was seen then.
    #[inline]
    fn check(&self, bytes: usize, comment: bool) -> Result<(), ParseError> {
        let event_room = match comment {
            true => usize::MAX,
            false => self.event_bytes_max.saturating_sub(self.block.bytes),
        };
        if bytes <= self.line_bytes_max.min(event_room) {
            return Ok(());
        }
        Err(if self.line_bytes_max <= event_room {
            ParseError::LineTooLong { max: self.line_bytes_max }
        } else {
            ParseError::EventTooLong { max: self.event_bytes_max }
        })
    }

    /// A blank line: the id holds from here on, and the block is an event if it has data.
    #[inline]
    fn dispatch(&mut self) -> Option<Found> {
        let block = &mut self.block;
        if block.has_id {
            mem::swap(&mut self.last_event_id, &mut block.id);
        }
        let is_event = match self.dialect {
            Dialect::Standard => block.has_data,
            Dialect::GoSse => block.has_data || block.has_type || block.has_id,
        };
        if !is_event {
            block.clear();
            return None;
        }
        block.dispatched = true;
        Some(Found::Event)
    }
}

/// Which of its buffers holds what the parser found.
enum Found {
    Event,
    Comment,
}

impl Block {
    #[inline]
    fn push_data(&mut self, value: &[u8]) {
        if self.has_data {
            self.data.push('\n');
        }
        self.has_data = true;
        push_text(&mut self.data, value);
    }

    #[inline]
    fn set_type(&mut self, value: &[u8]) {
        self.has_type = true;
        self.event_type.clear();
        push_text(&mut self.event_type, value);
    }

    #[inline]
    fn set_id(&mut self, value: &[u8]) {
        if value.contains(&0) {
            return;
        }
        self.has_id = true;
        self.id.clear();
        push_text(&mut self.id, value);
    }

    #[inline]
    fn clear_dispatched(&mut self) {
        if self.dispatched {
            self.clear();
        }
    }

    #[inline]
    fn clear(&mut self) {
        self.dispatched = false;
        self.bytes = 0;
        self.has_data = false;
        self.has_type = false;
        self.has_id = false;
        self.data.clear();
        self.event_type.clear();
    }
}

/// A line's bytes as text. No line end is part of a character, so decoding line by line gives what
/// decoding the whole stream would.
pub(super) fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[inline]
fn push_text(text: &mut String, bytes: &[u8]) {
    match str::from_utf8(bytes) {
        Ok(valid) => text.push_str(valid),
        Err(_) => text.push_str(&text_of(bytes)),
    }
}

#[cfg(test)]
mod tests;
