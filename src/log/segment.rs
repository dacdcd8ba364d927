//! A stretch of the Log: the bytes of consecutive frames, and where each frame lies in them.
//!
//! Frames lie back to back as they go out, each wrapped as one HTTP/1.1 chunk:
//!
//! ```text
//! chunk   8c\r\n id: 6f1d02aa-17\ndata: ...\n\n \r\n
//! event          ^------- the bare event ------^
//! ```
//!
//! so a run of frames is one contiguous send, and the event alone is a slice of it (for HTTP/1.0
//! clients and in-process readers). Written through [`SegmentWriter`], read through [`Segment`].

use std::{ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    Sequence,
    append_only::{AppendOnly, Appender},
    topic::Topic,
};

/// The read side of a segment. Cheap to clone: three words and two reference counts.
#[derive(Clone, Debug)]
pub struct Segment {
    first: Sequence,
    /// Bytes of all frames of the Log before the first.
    base: u64,
    bytes: Arc<AppendOnly<u8>>,
    frames: Arc<AppendOnly<Record>>,
}

/// The write side; the Log's append lock holds the newest segment's.
#[derive(Debug)]
pub(super) struct SegmentWriter {
    first: Sequence,
    base: u64,
    /// When the newest frame was published.
    latest: Duration,
    bytes: Appender<u8>,
    frames: Appender<Record>,
}

/// Where one frame lies. 40 B per retained frame.
#[derive(Debug)]
struct Record {
    position: u64,
    published: Nanos,
    start: u32,
    chunk_len: u32,
    topics: FrameTopics,
}

const _: () = assert!(size_of::<Record>() == 40, "the history's bound is computed from it");

/// A time in nanoseconds; 585 years of them.
type Nanos = u64;

/// The topics of a frame; nearly all have one.
#[derive(Clone, Debug)]
pub enum FrameTopics {
    /// The usual case, without an allocation.
    One(Arc<Topic>),
    /// Several, each once.
    Many(Box<[Arc<Topic>]>),
}

/// A published frame: a message encoded once, shared, immutable.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'s> {
    segment: &'s Segment,
    record: &'s Record,
    sequence: Sequence,
}

impl FrameTopics {
    /// The topics as a slice.
    pub fn as_slice(&self) -> &[Arc<Topic>] {
        match self {
            Self::One(topic) => std::slice::from_ref(topic),
            Self::Many(topics) => topics,
        }
    }
}

impl SegmentWriter {
    pub(super) fn new(first: Sequence, bytes_max: usize, frames_max: usize) -> Self {
        Self {
            first,
            base: 0,
            latest: Duration::ZERO,
            bytes: Appender::new(bytes_max),
            frames: Appender::new(frames_max),
        }
    }

    /// The writer of the segment behind this one.
    pub(super) fn next(&self, bytes_max: usize, frames_max: usize) -> Self {
        let first = self.first.plus(self.frames.written());
        let base = self.base + self.bytes.written() as u64;
        Self { base, latest: self.latest, ..Self::new(first, bytes_max, frames_max) }
    }

    pub(super) fn segment(&self) -> Segment {
        Segment {
            first: self.first,
            base: self.base,
            bytes: Arc::clone(self.bytes.shared()),
            frames: Arc::clone(self.frames.shared()),
        }
    }

    pub(super) fn has_room(&self, event_len: usize) -> bool {
        self.frames.remaining() > 0 && self.bytes.remaining() >= chunk_len(event_len)
    }

    /// Says that frames are published at this time from now on; never before an earlier one's.
    pub(super) fn set_time(&mut self, now: Duration) {
        self.latest = self.latest.max(now);
    }

    /// Appends an event of exactly `event_len` bytes, which `encode` writes.
    pub(super) fn append(
        &mut self,
        position: u64,
        topics: FrameTopics,
        event_len: usize,
        encode: impl FnOnce(&mut [u8]),
    ) {
        let start = self.bytes.written();
        let chunk_len = chunk_len(event_len);
        self.bytes.append_with(chunk_len, |chunk| write_chunk(chunk, event_len, encode));
        self.frames.push(Record {
            position,
            published: nanos(self.latest),
            // Segments are at most a few MiB (`limits::SEGMENT_BYTES_MAX`, or one message).
            start: u32::try_from(start).expect("a segment is far below 4 GiB"),
            chunk_len: u32::try_from(chunk_len).expect("a message is far below 4 GiB"),
            topics,
        });
    }

    /// Makes what was appended visible to whoever asks this segment; the Log's head comes after.
    pub(super) fn publish(&mut self) {
        // Bytes first: a published record points only at published bytes.
        self.bytes.publish();
        self.frames.publish();
    }
}

impl Segment {
    /// Sequence of the first frame.
    pub fn first(&self) -> Sequence {
        self.first
    }

    /// One past the last published frame.
    pub fn end(&self) -> Sequence {
        self.first.plus(self.frames.len())
    }

    /// The frame with this sequence, if it is published here.
    #[inline]
    pub fn frame(&self, sequence: Sequence) -> Option<Frame<'_>> {
        let record = self.frames.get(sequence.since(self.first)?)?;
        Some(Frame { segment: self, record, sequence })
    }

    /// The published frames of `range`, in order; stops at the first that is not published here.
    pub fn frames(&self, range: Range<Sequence>) -> impl Iterator<Item = Frame<'_>> {
        let records = self.frames.as_slice();
        let from = range.start.since(self.first).unwrap_or(0).min(records.len());
        let to = range.end.since(self.first).unwrap_or(0).clamp(from, records.len());
        records[from..to].iter().enumerate().map(move |(index, record)| Frame {
            segment: self,
            record,
            sequence: self.first.plus(from + index),
        })
    }

    /// How many frames from `first` on, which is here, are below `below` and begin within `bytes_max`
    /// bytes of its beginning: at least one.
    pub(super) fn frames_within(
        &self,
        first: Sequence,
        below: Sequence,
        bytes_max: usize,
    ) -> usize {
        let records = self.frames.as_slice();
        let from = first.since(self.first).unwrap_or(0);
        let to = below.since(self.first).unwrap_or(0).clamp(from, records.len());
        let records = &records[from..to];
        let end = records.first().map_or(0, |record| record.start as usize) + bytes_max;
        records.partition_point(|record| (record.start as usize) < end)
    }

    /// Bytes of memory this segment has filled.
    pub fn bytes_used(&self) -> usize {
        self.bytes.len() + self.frames.len() * size_of::<Record>()
    }

    /// Published bytes from offset `range.start` to `range.end`.
    #[inline]
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.bytes.as_slice()[range]
    }

    /// Sequence of the first frame whose position is at least `position`.
    pub fn find(&self, position: u64) -> Sequence {
        self.first_where(|record| record.position >= position)
    }

    /// Sequence of the first frame that was published after `time`.
    pub(super) fn first_published_after(&self, time: Duration) -> Sequence {
        let time = nanos(time);
        self.first_where(|record| record.published > time)
    }

    /// Bytes of all frames of the Log before the first.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// Bytes of all frames of the Log before `end`, which is here or the end.
    pub(super) fn bytes_before(&self, end: Sequence) -> u64 {
        let within = end.since(self.first).and_then(|count| count.checked_sub(1));
        let last = within.and_then(|index| self.frames.get(index));
        self.base + last.map_or(0, |last| u64::from(last.start) + u64::from(last.chunk_len))
    }

    /// Sequence of the first frame before which all frames of the Log have at least `bytes`.
    pub(super) fn first_behind(&self, bytes: u64) -> Sequence {
        self.first_where(|record| self.base + u64::from(record.start) >= bytes)
    }

    /// The first frame for which `is_it` holds, as it does for all after that; else the end.
    fn first_where(&self, is_it: impl Fn(&Record) -> bool) -> Sequence {
        self.first.plus(self.frames.as_slice().partition_point(|record| !is_it(record)))
    }
}

impl<'s> Frame<'s> {
    /// The frame's place in the Log.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// The place its origin gave it: strictly increasing, with holes allowed. Its automatic id
    /// carries this number.
    pub fn position(&self) -> u64 {
        self.record.position
    }

    /// The topics it was published to.
    #[inline]
    pub fn topics(&self) -> &'s [Arc<Topic>] {
        self.record.topics.as_slice()
    }

    /// Where its chunk lies in the segment's bytes.
    #[inline]
    pub fn range(&self) -> Range<usize> {
        let start = self.record.start as usize;
        start..start + self.record.chunk_len as usize
    }

    /// The frame as one HTTP/1.1 chunk.
    #[inline]
    pub fn chunk(&self) -> &'s [u8] {
        self.segment.bytes(self.range())
    }

    /// The bare event.
    #[inline]
    pub fn event(&self) -> &'s [u8] {
        &self.segment.bytes.as_slice()[self.event_range()]
    }

    /// The bare event, sharing the segment's memory.
    pub fn event_bytes(&self) -> Bytes {
        let view = View { bytes: Arc::clone(&self.segment.bytes), range: self.event_range() };
        Bytes::from_owner(view)
    }

    fn event_range(&self) -> Range<usize> {
        let chunk = self.range();
        let event_len = event_len(chunk.len());
        let start = chunk.end - CRLF.len() - event_len;
        start..start + event_len
    }
}

/// What keeps a segment's bytes alive behind a `Bytes`.
struct View {
    bytes: Arc<AppendOnly<u8>>,
    range: Range<usize>,
}

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        &self.bytes.as_slice()[self.range.clone()]
    }
}

fn nanos(time: Duration) -> Nanos {
    Nanos::try_from(time.as_nanos()).unwrap_or(Nanos::MAX)
}

const CRLF: &[u8; 2] = b"\r\n";

/// Length of an event of `event_len` bytes wrapped as a chunk.
pub(crate) fn chunk_len(event_len: usize) -> usize {
    hex_digits(event_len) + CRLF.len() + event_len + CRLF.len()
}

/// Length of the event in a chunk of `chunk_len` bytes: the inverse of [`chunk_len`].
fn event_len(chunk_len: usize) -> usize {
    let framed = chunk_len - 2 * CRLF.len();
    // One digit fewer is right where the length lost a digit by subtracting them.
    let digits = hex_digits(framed - hex_digits(framed));
    let event_len = framed - digits;
    debug_assert_eq!(self::chunk_len(event_len), chunk_len);
    event_len
}

/// Writes the chunk of an event that `encode` writes into exactly `event_len` bytes.
pub(crate) fn write_chunk(chunk: &mut [u8], event_len: usize, encode: impl FnOnce(&mut [u8])) {
    let digits = hex_digits(event_len);
    for (index, digit) in chunk[..digits].iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[event_len >> (4 * (digits - 1 - index)) & 0xf];
    }
    let (head, rest) = chunk.split_at_mut(digits + CRLF.len());
    head[digits..].copy_from_slice(CRLF);
    let (event, end) = rest.split_at_mut(event_len);
    encode(event);
    end.copy_from_slice(CRLF);
}

fn hex_digits(value: usize) -> usize {
    (usize::BITS - value.max(1).leading_zeros()).div_ceil(4) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_is_found_again_in_a_chunk_of_any_length() {
        for len in (1..70_000).chain([0xf_ffff, 0x10_0000]) {
            assert_eq!(event_len(chunk_len(len)), len);
        }
    }

    #[test]
    fn a_chunk_is_what_http_says() {
        let mut chunk = vec![0; chunk_len(0x1a)];
        write_chunk(&mut chunk, 0x1a, |event| event.fill(b'x'));
        assert_eq!(chunk, format!("1a\r\n{}\r\n", "x".repeat(0x1a)).as_bytes());
    }
}
