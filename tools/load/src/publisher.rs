//! The publisher: one connection, one thread, times fixed in advance.
//!
//! Open loop: message n is due at start + n / rate whatever the server does. Nothing here waits for
//! an answer; what is due goes out in one write. If a write blocks, the messages due meanwhile are
//! late, and since latency counts from the intended time, the delay is in the figures.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::args::PublishMode;
use crate::clock::Clock;
use crate::http::{Response, Responses};
use crate::payload::{Format, Stamp};
use crate::target::Endpoint;

/// From the connection to the first message.
const LEAD: Duration = Duration::from_millis(20);
/// Messages in one write at most: bounds the buffer when the schedule is far behind.
const BATCH_MAX: u64 = 512;
/// A write that makes no progress for so long has failed.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// How long the answers may take after the last message.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is to be published.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Where.
    pub(crate) endpoint: Endpoint,
    /// How.
    pub(crate) mode: PublishMode,
    /// What the messages hold.
    pub(crate) format: Format,
    /// How many.
    pub(crate) messages: u64,
    /// How many per second.
    pub(crate) rate: f64,
    /// The run's clock.
    pub(crate) clock: Clock,
}

/// What was published.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Messages written.
    pub(crate) published: u64,
    /// Messages the server said it took.
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

impl Outcome {
    /// Messages per second, over the time it took to write them.
    pub(crate) fn rate(&self) -> f64 {
        let intervals = self.published.saturating_sub(1) as f64;
        let seconds = self.end_ns.saturating_sub(self.start_ns) as f64 / 1e9;
        if intervals == 0.0 || seconds == 0.0 { 0.0 } else { intervals / seconds }
    }
}

/// Publishes all of `plan`; returns when the answers are in or overdue.
pub(crate) fn publish(plan: &Plan) -> Outcome {
    let mut outcome = Outcome::default();
    if let Err(error) = try_publish(plan, &mut outcome) {
        outcome.error.get_or_insert_with(|| error.to_string());
    }
    outcome
}

fn try_publish(plan: &Plan, outcome: &mut Outcome) -> io::Result<()> {
    let mut connection = TcpStream::connect_timeout(&plan.endpoint.address, WRITE_DEADLINE)?;
    connection.set_nodelay(true)?;
    connection.set_write_timeout(Some(WRITE_DEADLINE))?;
    connection.set_read_timeout(Some(LOOK_EVERY))?;
    let written = AtomicBool::new(false);
    let refused = AtomicBool::new(false);
    let incoming = Patient { connection: connection.try_clone()?, written: &written, silent: None };
    thread::scope(|scope| {
        let reader = scope.spawn(|| read_answers(plan, incoming, &refused));
        let result = write_all(plan, &mut connection, outcome, &refused);
        written.store(true, Ordering::Release);
        let answers = reader.join().expect("the reader does not panic");
        outcome.accepted = answers.accepted;
        outcome.error = answers.error;
        result
    })
}

fn write_all(
    plan: &Plan,
    connection: &mut TcpStream,
    outcome: &mut Outcome,
    refused: &AtomicBool,
) -> io::Result<()> {
    let mut writer = Writer::new(plan);
    connection.write_all(writer.opening.as_bytes())?;
    outcome.start_ns = plan.clock.now_ns() + LEAD.as_nanos() as u64;
    while outcome.published < plan.messages && !refused.load(Ordering::Acquire) {
        let due_ns = plan.due_ns(outcome, outcome.published);
        let now = plan.clock.sleep_until(due_ns);
        // What the stamps say: the first message that is due is the latest.
        let first = Stamp::new(outcome.published, due_ns, now);
        outcome.lag_max_ns = outcome.lag_max_ns.max(first.sent_ns() - due_ns);
        let count = writer.encode_due(plan, outcome, now);
        connection.write_all(&writer.out)?;
        outcome.published += count;
        outcome.end_ns = plan.clock.now_ns();
    }
    connection.write_all(writer.closing)
}

impl Plan {
    /// When message `sequence` is due.
    fn due_ns(&self, outcome: &Outcome, sequence: u64) -> u64 {
        outcome.start_ns + (sequence as f64 * 1e9 / self.rate) as u64
    }

    /// Answers to wait for when `published` messages have been sent.
    fn answers(&self) -> u64 {
        match self.mode {
            PublishMode::Ndjson => 1,
            PublishMode::Post => self.messages,
        }
    }
}

/// Puts messages into the bytes of a mode.
struct Writer {
    mode: PublishMode,
    opening: String,
    closing: &'static [u8],
    /// In `Post` mode, what stands before each payload.
    head: String,
    lines: Vec<u8>,
    out: Vec<u8>,
}

impl Writer {
    fn new(plan: &Plan) -> Self {
        let ndjson = plan.mode == PublishMode::Ndjson;
        let endpoint = &plan.endpoint;
        let length = format!("Content-Length: {}", plan.format.size());
        let stream = endpoint.publish_head("application/x-ndjson", "Transfer-Encoding: chunked");
        Self {
            mode: plan.mode,
            opening: if ndjson { stream } else { String::new() },
            closing: if ndjson { b"0\r\n\r\n" } else { b"" },
            head: endpoint.publish_head("text/plain", &length),
            lines: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Fills `out` with the messages that are due. Returns how many.
    fn encode_due(&mut self, plan: &Plan, outcome: &Outcome, now: u64) -> u64 {
        self.lines.clear();
        self.out.clear();
        let mut count = 0;
        while count < BATCH_MAX && outcome.published + count < plan.messages {
            let sequence = outcome.published + count;
            let intended_ns = plan.due_ns(outcome, sequence);
            if intended_ns > now {
                break;
            }
            self.encode(plan, Stamp::new(sequence, intended_ns, now));
            count += 1;
        }
        if self.mode == PublishMode::Ndjson {
            self.out.extend_from_slice(format!("{:x}\r\n", self.lines.len()).as_bytes());
            self.out.extend_from_slice(&self.lines);
            self.out.extend_from_slice(b"\r\n");
        }
        count
    }

    fn encode(&mut self, plan: &Plan, stamp: Stamp) {
        match self.mode {
            PublishMode::Ndjson => {
                self.lines.extend_from_slice(b"{\"data\":\"");
                plan.format.encode(stamp, &mut self.lines);
                self.lines.extend_from_slice(b"\"}\n");
            }
            PublishMode::Post => {
                self.out.extend_from_slice(self.head.as_bytes());
                plan.format.encode(stamp, &mut self.out);
            }
        }
    }
}

/// What the server answered.
#[derive(Debug, Default)]
struct Answers {
    accepted: u64,
    error: Option<String>,
}

fn read_answers(plan: &Plan, incoming: Patient<'_>, refused: &AtomicBool) -> Answers {
    let mut answers = Answers::default();
    let mut responses = Responses::new(incoming);
    for _ in 0..plan.answers() {
        let fault = match responses.next() {
            Ok(Some(response)) => answers.take(plan, &response),
            Ok(None) => Some("the server closed the publisher's connection".to_owned()),
            Err(error) => Some(format!("the answer to a publish: {error}")),
        };
        if let Some(fault) = fault {
            answers.error.get_or_insert(fault);
            // In one long request any answer before its end ends it.
            refused.store(true, Ordering::Release);
            break;
        }
    }
    answers
}

impl Answers {
    /// Counts one answer. Returns what is wrong with it.
    fn take(&mut self, plan: &Plan, response: &Response) -> Option<String> {
        let text = String::from_utf8_lossy(&response.body);
        if !(200..300).contains(&response.status) {
            return Some(format!(
                "the server refused a publish: {} {}",
                response.status,
                text.trim()
            ));
        }
        if plan.mode == PublishMode::Post {
            self.accepted += 1;
            return None;
        }
        let answer = serde_json::from_slice::<Value>(&response.body).ok();
        let published = answer.and_then(|answer| answer["published"].as_u64());
        self.accepted = published.unwrap_or(plan.messages);
        (self.accepted != plan.messages)
            .then(|| format!("the server says it published {} of {}", self.accepted, plan.messages))
    }
}

/// Reads on through time-outs until the answers are overdue.
struct Patient<'s> {
    connection: TcpStream,
    written: &'s AtomicBool,
    /// Since when nothing has come after all was written.
    silent: Option<Instant>,
}

impl Read for Patient<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.read(buf) {
                Err(error) if is_timeout(&error) => {}
                outcome => {
                    self.silent = None;
                    return outcome;
                }
            }
            if self.written.load(Ordering::Acquire)
                && self.silent.get_or_insert_with(Instant::now).elapsed() > ANSWER_DEADLINE
            {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "none came"));
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(mode: PublishMode, rate: f64) -> Plan {
        let endpoint = Endpoint::resolve("http://127.0.0.1:1", "/publish?topic={topic}", "t");
        Plan {
            endpoint: endpoint.expect("a valid URL"),
            mode,
            format: Format::new(40, 1),
            messages: 1_000,
            rate,
            clock: Clock::start(),
        }
    }

    #[test]
    fn due_times_are_fixed_in_advance() {
        let plan = plan(PublishMode::Ndjson, 3.0);
        let outcome = Outcome { start_ns: 1_000, ..Outcome::default() };
        assert_eq!(plan.due_ns(&outcome, 0), 1_000);
        assert_eq!(plan.due_ns(&outcome, 3), 1_000_001_000);
        // No drift: the thousandth is as exact as the first.
        assert_eq!(plan.due_ns(&outcome, 3_000), 1_000_000_001_000);
    }

    #[test]
    fn what_is_due_goes_out_in_one_chunk() {
        let plan = plan(PublishMode::Ndjson, 1_000.0);
        let mut writer = Writer::new(&plan);
        let outcome = Outcome { published: 10, start_ns: 0, ..Outcome::default() };
        assert_eq!(writer.encode_due(&plan, &outcome, 12_000_000), 3);
        let (body, _) = crate::framing::dechunk(&writer.out, 7).expect("one whole chunk");
        let lines: Vec<Value> = body
            .split_inclusive(|&byte| byte == b'\n')
            .map(|line| serde_json::from_slice(line).expect("JSON"))
            .collect();
        let stamps = lines.iter().map(|line| {
            let data = line["data"].as_str().expect("text");
            plan.format.decode(data.as_bytes()).expect("intact")
        });
        let sequences: Vec<u64> = stamps.map(|stamp| stamp.sequence).collect();
        assert_eq!(sequences, [10, 11, 12]);
    }

    #[test]
    fn a_schedule_far_behind_is_written_in_batches() {
        let plan = plan(PublishMode::Post, 1_000.0);
        let mut writer = Writer::new(&plan);
        assert_eq!(writer.encode_due(&plan, &Outcome::default(), u64::MAX / 2), BATCH_MAX);
        let text = String::from_utf8(writer.out).expect("text");
        assert_eq!(text.matches("POST /publish?topic=t HTTP/1.1\r\n").count(), BATCH_MAX as usize);
    }

    #[test]
    fn a_server_that_is_not_there_is_an_error() {
        let outcome = publish(&plan(PublishMode::Post, 1_000.0));
        assert_eq!(outcome.published, 0);
        assert!(outcome.error.is_some());
    }
}
