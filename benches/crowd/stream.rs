//! One member's connection: its bytes in, an audit of its events out.

use std::net::TcpStream;

use hdrhistogram::Histogram;
use memchr::memchr;

use super::wire::{self, Faults, Tally, Topic};

/// A connection and what is expected on it.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) socket: TcpStream,
    pub(super) state: State,
    expected: Box<[Expected]>,
    /// What has arrived of a head or a chunk.
    partial: Vec<u8>,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its request is not sent. It was due then.
    Connecting(u64),
    /// Its response head is not complete.
    Asking(u64),
    /// It gets events.
    Subscribed,
    /// It was answered otherwise, or has ended.
    Over,
}

/// The next event of a topic.
#[derive(Clone, Copy, Debug)]
struct Expected {
    topic: Topic,
    /// None: any is the first.
    counter: Option<u64>,
}

/// What a member has counted.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) deliveries: u64,
    pub(super) last_at: u64,
    pub(super) latency: Histogram<u64>,
    pub(super) first_byte: Histogram<u64>,
    pub(super) faults: Faults,
}

impl Books {
    pub(super) fn new() -> Self {
        Self {
            deliveries: 0,
            last_at: 0,
            latency: wire::histogram(),
            first_byte: wire::histogram(),
            faults: Faults::default(),
        }
    }

    /// What has come since the last time.
    pub(super) fn close(&mut self) -> Tally {
        let latency = wire::counts(&self.latency);
        self.latency.reset();
        let faults = std::mem::take(&mut self.faults);
        Tally { deliveries: self.deliveries, last_at: self.last_at, latency, faults }
    }
}

impl Stream {
    /// Its events are audited from counter `first` on, or from any.
    pub(super) fn new(socket: TcpStream, due: u64, topics: &[Topic], first: Option<u64>) -> Self {
        let expected = topics.iter().map(|&topic| Expected { topic, counter: first });
        let state = State::Connecting(due);
        Self { socket, state, expected: expected.collect(), partial: Vec::new() }
    }

    /// Takes what was read just now.
    pub(super) fn take(&mut self, bytes: &[u8], now: u64, books: &mut Books) {
        if self.partial.is_empty() {
            let taken = self.take_whole(bytes, now, books);
            self.partial.extend_from_slice(&bytes[taken..]);
            return;
        }
        let mut all = std::mem::take(&mut self.partial);
        all.extend_from_slice(bytes);
        let taken = self.take_whole(&all, now, books);
        all.drain(..taken);
        // Most have nothing left over, and there are very many of them.
        self.partial = if all.is_empty() { Vec::new() } else { all };
    }

    /// Takes whole heads and chunks, and says how many bytes those were.
    fn take_whole(&mut self, bytes: &[u8], now: u64, books: &mut Books) -> usize {
        let mut taken = 0;
        if let State::Asking(due) = self.state {
            let Some(len) = memchr::memmem::find(bytes, b"\r\n\r\n") else { return 0 };
            books.first_byte.saturating_record((now - due) / 1000);
            let is_stream = bytes.starts_with(b"HTTP/1.1 200 ");
            self.state = if is_stream { State::Subscribed } else { State::Over };
            taken = len + 4;
        }
        while self.state == State::Subscribed
            && let Some((chunk, len)) = next_chunk(&bytes[taken..])
        {
            taken += len;
            match chunk {
                [] => self.state = State::Over,
                chunk => self.take_chunk(chunk, now, books),
            }
        }
        if self.state == State::Over { bytes.len() } else { taken }
    }

    /// Comments and ids are passed over.
    fn take_chunk(&mut self, mut chunk: &[u8], now: u64, books: &mut Books) {
        while let Some(end) = memchr(b'\n', chunk) {
            let line = &chunk[..end];
            if let Some(data) = line.strip_prefix(b"data: ") {
                self.audit(data, now, books);
            } else if line.starts_with(b"event: fanfare.") {
                books.faults.gaps += 1;
            }
            chunk = &chunk[end + 1..];
        }
    }

    fn audit(&mut self, data: &[u8], now: u64, books: &mut Books) {
        let parsed = parse(data);
        let expected = parsed.and_then(|(topic, counter, at)| {
            let expected = self.expected.iter_mut().find(|expected| expected.topic == topic)?;
            Some((expected, counter, at))
        });
        let Some((expected, counter, at)) = expected else {
            books.faults.foreign += 1;
            return;
        };
        let next = expected.counter.unwrap_or(counter);
        if counter < next {
            books.faults.repeated += 1;
            return;
        }
        books.faults.lost += counter - next;
        expected.counter = Some(counter + 1);
        books.deliveries += 1;
        books.last_at = now;
        books.latency.saturating_record(now.saturating_sub(at) / 1000);
    }
}

/// A whole chunk that `bytes` begin with, and its length with what is around it. What is no chunk is
/// an empty one, which ends the stream.
fn next_chunk(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let start = memchr(b'\n', bytes)? + 1;
    let digits = bytes[..start].strip_suffix(b"\r\n").unwrap_or_default();
    let size = digits.iter().try_fold(0_usize, |size, &digit| {
        Some(size * 16 + char::from(digit).to_digit(16)? as usize)
    });
    let Some(size) = size.filter(|&size| size < 1 << 24) else { return Some((&[], bytes.len())) };
    let end = start + size;
    (bytes.len() >= end + 2).then(|| (&bytes[start..end], end + 2))
}

/// The topic, the counter, and the time of publishing that an event's data begins with.
fn parse(data: &[u8]) -> Option<(Topic, u64, u64)> {
    let (&kind, data) = data.split_first()?;
    let (number, data) = parse_number(data)?;
    let (counter, data) = parse_number(data)?;
    let (at, _) = parse_number(data)?;
    Some((Topic { kind, number: u32::try_from(number).ok()? }, counter, at))
}

/// A decimal number and the space after it.
fn parse_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (nth, &byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' => number = number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')),
            b' ' if nth > 0 => return Some((number, &text[nth + 1..])),
            _ => return None,
        }
    }
    None
}
