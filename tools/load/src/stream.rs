//! One subscriber's stream: bytes in, an audit out.
//!
//! `framing` takes the chunks off, `scanner` finds the events, `payload` checks their data, `audit`
//! books them. That path decides everything; it costs some 90 ns per event (comparing 13). Most
//! events never take it: between two frames the stream first compares what lies ahead with the
//! frame that `proven` keeps for the sequence it expects. The result is the same for any split of
//! the input.

use hdrhistogram::Histogram;

use crate::audit::{Audit, Place};
use crate::framing::{Framing, Step};
use crate::payload::{Format, Stamp};
use crate::proven::Proven;
use crate::scanner::{EventKind, Scanner};

/// Faults that are described one by one; the rest are only counted.
const EXAMPLES_MAX: usize = 5;
/// Latencies are kept in microseconds up to ten minutes, to three digits (200 KB).
const LATENCY_US_MAX: u64 = 600_000_000;

/// What all streams of one thread share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Messages the run will publish; sequences from here on are not its own.
    pub(crate) planned: u64,
    format: Format,
    proven: Proven,
    /// What has been counted so far.
    pub(crate) tally: Tally,
}

/// Counts over all streams of one thread.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Microseconds from the intended publish time to the return of the read that brought the
    /// message, of every intact message that came for the first time.
    pub(crate) latency: Histogram<u64>,
    /// Intact messages, each counted once per subscriber.
    pub(crate) delivered: u64,
    /// Of these, recognised by comparison with a proven frame.
    pub(crate) recognised: u64,
    /// Events of others: with an `event` field, which this tool never publishes.
    pub(crate) foreign: u64,
    /// Bytes received after the response heads.
    pub(crate) bytes: u64,
    /// When the last message came, in nanoseconds of the run's clock.
    pub(crate) last_ns: u64,
    /// The first faults, in words.
    pub(crate) examples: Vec<String>,
}

/// State of one subscriber's stream.
#[derive(Debug)]
pub(crate) struct Stream {
    subscriber: u32,
    framing: Framing,
    scanner: Scanner,
    audit: Audit,
}

/// How a stream stands after some bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flow {
    /// More may come.
    Open,
    /// The body ended in order.
    Ended,
    /// The bytes made no sense any more; the stream cannot be read on.
    Broken,
}

impl Shared {
    /// Nothing counted yet.
    pub(crate) fn new(format: Format, planned: u64) -> Self {
        Self { planned, format, proven: Proven::default(), tally: Tally::new() }
    }
}

impl Tally {
    fn new() -> Self {
        let latency =
            Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("the bounds are valid");
        Self {
            latency,
            delivered: 0,
            recognised: 0,
            foreign: 0,
            bytes: 0,
            last_ns: 0,
            examples: Vec::new(),
        }
    }

    #[inline]
    fn record(&mut self, intended_ns: u64, now_ns: u64) {
        self.latency.saturating_record(now_ns.saturating_sub(intended_ns) / 1_000);
    }

    fn describe(&mut self, subscriber: u32, fault: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(format!("subscriber {subscriber}: {}", fault()));
        }
    }
}

impl Stream {
    /// A stream whose response head has just ended.
    pub(crate) fn new(subscriber: u32, framing: Framing) -> Self {
        Self { subscriber, framing, scanner: Scanner::default(), audit: Audit::default() }
    }

    /// What has arrived.
    pub(crate) fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Takes in bytes that one read brought at `now_ns`.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], now_ns: u64, shared: &mut Shared) -> Flow {
        shared.tally.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let at_boundary = self.at_boundary();
            if at_boundary {
                bytes = self.recognise(bytes, now_ns, shared);
                if bytes.is_empty() {
                    break;
                }
            }
            let parsed = self.parse(bytes, now_ns, shared);
            let (frame, rest) = bytes.split_at(parsed.used);
            if parsed.flow != Flow::Open {
                return parsed.flow;
            }
            if let Some(stamp) = parsed.only_next
                && at_boundary
                && self.at_boundary()
            {
                shared.proven.learn(stamp.sequence, stamp.intended_ns, frame);
            }
            bytes = rest;
        }
        Flow::Open
    }

    fn at_boundary(&self) -> bool {
        self.framing.at_boundary() && self.scanner.at_boundary()
    }

    /// Takes the frames that are as expected, byte for byte. Returns what follows them.
    #[inline]
    fn recognise<'b>(&mut self, mut bytes: &'b [u8], now_ns: u64, shared: &mut Shared) -> &'b [u8] {
        let before = self.audit.next();
        while let Some((frame, intended_ns)) = shared.proven.frame(self.audit.next()) {
            let Some(rest) = bytes.strip_prefix(frame) else { break };
            bytes = rest;
            self.audit.advance();
            shared.tally.record(intended_ns, now_ns);
        }
        let count = self.audit.next() - before;
        if count > 0 {
            shared.tally.recognised += count;
            shared.tally.delivered += count;
            shared.tally.last_ns = now_ns;
        }
        bytes
    }

    /// Parses up to the next boundary between frames, or to the end of `bytes`.
    fn parse(&mut self, bytes: &[u8], now_ns: u64, shared: &mut Shared) -> Parsed {
        let mut parsed = Parsed { used: 0, flow: Flow::Open, only_next: None };
        let mut events = 0;
        while parsed.used < bytes.len() {
            let left = &bytes[parsed.used..];
            match self.framing.step(left) {
                Ok(Step::Skip(len)) => parsed.used += len,
                Ok(Step::Body(len)) => {
                    let Ok(scanned) = self.scanner.scan(&left[..len]) else {
                        return self.broken(parsed, "an event beyond every bound", shared);
                    };
                    self.framing.advance(scanned.used);
                    parsed.used += scanned.used;
                    if let Some(kind) = scanned.event {
                        events += 1;
                        let next = self.deliver(kind, now_ns, shared);
                        parsed.only_next = next.filter(|_| events == 1);
                    }
                }
                Ok(Step::End) => return Parsed { flow: Flow::Ended, ..parsed },
                Err(_) => return self.broken(parsed, "not a chunked body", shared),
            }
            if self.at_boundary() {
                break;
            }
        }
        if self.framing.is_over() {
            parsed.flow = Flow::Ended;
        }
        parsed
    }

    fn broken(&mut self, parsed: Parsed, why: &str, shared: &mut Shared) -> Parsed {
        self.audit.note_corrupted();
        let next = self.audit.next();
        shared.tally.describe(self.subscriber, || format!("{why}, where {next} was expected"));
        Parsed { flow: Flow::Broken, ..parsed }
    }

    /// Judges one event. Returns the stamp when it is the message expected next.
    fn deliver(&mut self, kind: EventKind, now_ns: u64, shared: &mut Shared) -> Option<Stamp> {
        if kind == EventKind::Named {
            shared.tally.foreign += 1;
            return None;
        }
        let expected = self.audit.next();
        let decoded = shared.format.decode(self.scanner.data());
        let Some(stamp) = decoded.filter(|stamp| stamp.sequence < shared.planned) else {
            self.audit.note_corrupted();
            let start = self.scanner.data().iter().take(40).copied().collect::<Vec<_>>();
            let start = String::from_utf8_lossy(&start).into_owned();
            shared.tally.describe(self.subscriber, || {
                format!("corrupted where {expected} was expected: {start:?}...")
            });
            return None;
        };
        let place = self.audit.note(stamp.sequence);
        if place != Place::Next {
            let sequence = stamp.sequence;
            shared.tally.describe(self.subscriber, || match place {
                Place::Again => format!("{sequence} came again"),
                Place::Late => format!("{sequence} came after a later one"),
                _ => format!("{sequence} came where {expected} was expected"),
            });
        }
        if place != Place::Again {
            shared.tally.record(stamp.intended_ns, now_ns);
            shared.tally.delivered += 1;
            shared.tally.last_ns = now_ns;
        }
        (place == Place::Next).then_some(stamp)
    }
}

/// What one call of the parser has done.
#[derive(Clone, Copy, Debug)]
struct Parsed {
    used: usize,
    flow: Flow,
    /// The one event it found, when that was the message expected next.
    only_next: Option<Stamp>,
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
