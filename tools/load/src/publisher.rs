//! The publisher: one connection, one thread, times fixed in advance.
//!
//! Open loop: within a segment message n is due at start + n / rate whatever the server does.
//! Nothing here waits for an answer, unless the server takes one message at a time; what is due goes
//! out in one write. If a write blocks, the messages due meanwhile are late, and since latency
//! counts from the intended time, the delay is in the figures. What the server answers is read by a thread of its own (`answers`).
//!
//! A server may end a connection after an answer. Where every message sent has been answered by
//! then, nothing is in doubt and publishing goes on over a new connection; where one has not, it is
//! not known whether the server took it, and the run has failed.

mod answers;
#[cfg(test)]
mod tests;
mod writer;

use std::io::{ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use self::answers::Reader;
use self::writer::Writer;
use crate::clock::Clock;
use crate::payload::{Format, Stamp};
use crate::target::{PublishMode, Route};

/// From the start of a segment to its first message.
const LEAD: Duration = Duration::from_millis(20);
/// A write that makes no progress for so long has failed.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// A write has failed: how long the server may take to say why.
const LAST_WORD: Duration = Duration::from_millis(500);
/// The payload's sequence has eight hex digits.
const MESSAGES_MAX: u64 = u32::MAX as u64;

/// What is to be published.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Where and how.
    pub(crate) route: Route,
    /// Message i of a run goes to topic i modulo their number; at least one.
    pub(crate) topics: Vec<String>,
    /// What the messages hold.
    pub(crate) format: Format,
    /// The run's clock.
    pub(crate) clock: Clock,
    /// Messages written so far, for whoever looks on.
    pub(crate) written: Arc<AtomicU64>,
}

/// What was published: in one segment, or in all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Messages written.
    pub(crate) published: u64,
    /// Messages the server said it took. It may say so later than in the segment; what
    /// [`Publisher::finish`] returns is all of it.
    pub(crate) accepted: u64,
    /// When the first message was due.
    pub(crate) start_ns: u64,
    /// When the last write returned.
    pub(crate) end_ns: u64,
    /// The longest time between a message's due time and its write.
    pub(crate) lag_max_ns: u64,
    /// What went wrong.
    pub(crate) error: Option<String>,
}

/// A connection to publish over, segment by segment. It belongs on a thread of its own.
#[derive(Debug)]
pub(crate) struct Publisher {
    plan: Plan,
    writer: Writer,
    connection: Connection,
    /// Of the connections before this one.
    accepted_before: u64,
    total: Outcome,
}

/// A part of the run at one rate.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// Sequence of its first message.
    first: u64,
    messages: u64,
    /// Messages per second.
    rate: f64,
    start_ns: u64,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    reader: Reader,
}

impl Outcome {
    /// Messages per second, over the time it took to write them.
    pub(crate) fn rate(&self) -> f64 {
        let intervals = self.published.saturating_sub(1) as f64;
        let seconds = self.end_ns.saturating_sub(self.start_ns) as f64 / 1e9;
        if intervals == 0.0 || seconds == 0.0 { 0.0 } else { intervals / seconds }
    }

    fn failed(error: String) -> Self {
        Self { error: Some(error), ..Self::default() }
    }
}

impl Segment {
    /// When message `index` of the segment is due.
    fn due_ns(&self, index: u64) -> u64 {
        self.start_ns + (index as f64 * 1e9 / self.rate) as u64
    }

    /// The stamp of message `index` in a write at `now_ns`.
    fn stamp(&self, index: u64, now_ns: u64) -> Stamp {
        Stamp::new(self.first + index, self.due_ns(index), now_ns)
    }
}

impl Connection {
    /// Connects, and opens the one request where messages are its lines.
    fn open(plan: &Plan) -> Result<Self, String> {
        let failed = |error| format!("connecting the publisher: {error}");
        let stream =
            TcpStream::connect_timeout(&plan.route.address(), WRITE_DEADLINE).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_write_timeout(Some(WRITE_DEADLINE)).map_err(failed)?;
        let incoming = stream.try_clone().map_err(failed)?;
        let reader = Reader::start(incoming, plan.route.mode()).map_err(failed)?;
        let mut connection = Self { stream, reader };
        if plan.route.mode() == PublishMode::Ndjson {
            connection.stream.write_all(&plan.route.stream_head()).map_err(failed)?;
        }
        Ok(connection)
    }

    /// Writes `count` messages. They count as sent even when the write fails.
    fn send(&mut self, bytes: &[u8], count: u64) -> Result<(), String> {
        self.reader.progress().note_sent(count);
        self.stream.write_all(bytes).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                format!("publishing: the server has read nothing for {WRITE_DEADLINE:?}")
            }
            _ => format!("publishing: {error}"),
        })
    }

    /// Ends the one request where there is one, and waits for what has not been answered.
    fn complete(&mut self, mode: PublishMode) -> Result<(), String> {
        // Said first, as the answer may be here before the write returns.
        self.reader.progress().complete();
        let closed = match mode {
            PublishMode::Ndjson => self.stream.write_all(b"0\r\n\r\n"),
            PublishMode::Post | PublishMode::Turns => Ok(()),
        };
        self.reader.join();
        match self.reader.progress().fault() {
            Some(fault) => Err(fault),
            None => closed.map_err(|error| format!("publishing: {error}")),
        }
    }

    /// Ends it from this side, after a last look at what the server has said.
    fn break_off(&mut self) {
        self.reader.wait(LAST_WORD);
        let _ = self.stream.shutdown(Shutdown::Both);
        self.reader.join();
    }
}

impl Drop for Connection {
    /// Ends the reader too, which has a descriptor of its own.
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Publisher {
    /// Connects.
    ///
    /// # Errors
    /// In words, when the server cannot be reached.
    pub(crate) fn start(plan: Plan) -> Result<Self, String> {
        assert!(!plan.topics.is_empty(), "a message has a topic");
        let connection = Connection::open(&plan)?;
        let writer = Writer::new(&plan);
        Ok(Self { plan, writer, connection, accepted_before: 0, total: Outcome::default() })
    }

    /// Publishes `messages` at `rate` per second; their sequences follow on the last ones. Returns
    /// when the last is written, or publishing has failed: every call after that fails at once.
    pub(crate) fn publish(&mut self, rate: f64, messages: u64) -> Outcome {
        if let Some(error) = &self.total.error {
            return Outcome::failed(error.clone());
        }
        if self.total.published + messages > MESSAGES_MAX {
            return Outcome::failed(format!("a run has at most {MESSAGES_MAX} messages"));
        }
        let start_ns = self.plan.clock.now_ns() + LEAD.as_nanos() as u64;
        let first = self.total.published;
        let mut outcome = Outcome { start_ns, end_ns: start_ns, ..Outcome::default() };
        let accepted = self.accepted();
        outcome.error =
            self.publish_segment(Segment { first, messages, rate, start_ns }, &mut outcome).err();
        outcome.accepted = self.accepted() - accepted;
        self.total.add(&outcome);
        outcome
    }

    /// Waits for the answers that are not in yet, as long as they keep coming. What was published
    /// in all.
    pub(crate) fn finish(mut self) -> Outcome {
        if self.total.error.is_some() {
            self.connection.break_off();
        } else {
            self.total.error = self.connection.complete(self.plan.route.mode()).err();
        }
        Outcome { accepted: self.accepted(), ..self.total }
    }

    fn publish_segment(&mut self, segment: Segment, outcome: &mut Outcome) -> Result<(), String> {
        while outcome.published < segment.messages {
            let due_ns = segment.due_ns(outcome.published);
            self.plan.clock.sleep_until(due_ns);
            if self.plan.route.mode() == PublishMode::Turns {
                self.connection.reader.wait_for_answer()?;
            }
            if self.connection.reader.progress().has_ended() {
                self.reconnect()?;
            }
            let now_ns = self.plan.clock.now_ns();
            // What the stamps say: the first message that is due is the latest.
            let first = segment.stamp(outcome.published, now_ns);
            outcome.lag_max_ns = outcome.lag_max_ns.max(first.sent_ns() - due_ns);
            let count = self.writer.encode_due(&self.plan, segment, outcome.published, now_ns);
            if let Err(error) = self.connection.send(&self.writer.out, count) {
                self.connection.break_off();
                return Err(self.connection.reader.progress().fault().unwrap_or(error));
            }
            outcome.published += count;
            self.plan.written.fetch_add(count, Ordering::Relaxed);
            outcome.end_ns = self.plan.clock.now_ns();
        }
        Ok(())
    }

    /// The server has ended the connection: goes on over another one if nothing is in doubt.
    fn reconnect(&mut self) -> Result<(), String> {
        self.connection.reader.join();
        if let Some(fault) = self.connection.reader.progress().fault() {
            return Err(fault);
        }
        self.accepted_before = self.accepted();
        self.connection = Connection::open(&self.plan)?;
        Ok(())
    }

    fn accepted(&self) -> u64 {
        self.accepted_before + self.connection.reader.progress().accepted()
    }
}

impl Outcome {
    fn add(&mut self, segment: &Self) {
        if self.published == 0 {
            self.start_ns = segment.start_ns;
        }
        self.published += segment.published;
        self.end_ns = self.end_ns.max(segment.end_ns);
        self.lag_max_ns = self.lag_max_ns.max(segment.lag_max_ns);
        self.error = segment.error.clone();
    }
}
