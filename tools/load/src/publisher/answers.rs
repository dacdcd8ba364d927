//! What the server answers to publishes, read by a thread of its own while others are written.

use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::{Response, Responses};
use crate::target::PublishMode;

/// How long the server may be silent when all is written and answers are missing.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Between two looks for an answer that the next message waits for.
const TURN_LOOK_EVERY: Duration = Duration::from_micros(50);

/// Reads the answers on one connection.
#[derive(Debug)]
pub(super) struct Reader {
    progress: Arc<Progress>,
    thread: Option<JoinHandle<()>>,
}

/// How far one connection has come; what its writer and its reader tell each other.
#[derive(Debug)]
pub(super) struct Progress {
    mode: PublishMode,
    /// Messages handed to the socket.
    sent: AtomicU64,
    /// Messages the server said it took.
    accepted: AtomicU64,
    /// Nothing more will be written.
    complete: AtomicBool,
    /// The last answer said that it is the last; set before that answer is counted.
    closing: AtomicBool,
    /// Why the reader has ended, once it has.
    end: OnceLock<End>,
}

/// Why no more answers are read.
#[derive(Debug)]
enum End {
    /// All that can come have come.
    Answered,
    /// The server has closed the connection, or said that it will.
    Closed,
    /// An answer that is none, or a refusal.
    Fault(String),
}

impl Reader {
    /// Reads `incoming` from now on.
    pub(super) fn start(incoming: TcpStream, mode: PublishMode) -> io::Result<Self> {
        incoming.set_read_timeout(Some(LOOK_EVERY))?;
        let progress = Arc::new(Progress::new(mode));
        let patient =
            Patient { connection: incoming, progress: Arc::clone(&progress), silent: None };
        let read = {
            let progress = Arc::clone(&progress);
            move || drop(progress.end.set(progress.read(patient)))
        };
        let thread = thread::Builder::new().name("answers".to_owned()).spawn(read)?;
        Ok(Self { progress, thread: Some(thread) })
    }

    /// How far the connection has come.
    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Waits until the reader has ended, but not longer than `time`.
    pub(super) fn wait(&self, time: Duration) {
        let since = Instant::now();
        while !self.progress.has_ended() && since.elapsed() < time {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until all that was written has been answered, or the reader has ended.
    ///
    /// # Errors
    /// When the server is silent for too long.
    pub(super) fn wait_for_answer(&self) -> Result<(), String> {
        let since = Instant::now();
        while self.progress.unanswered() > 0 && !self.progress.has_ended() {
            if since.elapsed() > ANSWER_DEADLINE {
                return Err(format!("no answer to a publish within {ANSWER_DEADLINE:?}"));
            }
            thread::sleep(TURN_LOOK_EVERY);
        }
        Ok(())
    }

    /// Waits until the reader has ended.
    pub(super) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the reader does not panic");
        }
    }
}

impl Progress {
    fn new(mode: PublishMode) -> Self {
        Self {
            mode,
            sent: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            complete: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            end: OnceLock::new(),
        }
    }

    /// `count` messages are about to be handed to the socket.
    pub(super) fn note_sent(&self, count: u64) {
        self.sent.fetch_add(count, Ordering::Release);
    }

    /// Nothing more will be written.
    pub(super) fn complete(&self) {
        self.complete.store(true, Ordering::Release);
    }

    /// Messages the server said it took.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Acquire)
    }

    /// Whether no more answers are read, or will be.
    pub(super) fn has_ended(&self) -> bool {
        self.closing.load(Ordering::Acquire) || self.end.get().is_some()
    }

    /// What is wrong with how the reader has ended: nothing, where every message was answered.
    pub(super) fn fault(&self) -> Option<String> {
        let unanswered = self.unanswered();
        match self.end.get()? {
            End::Answered => None,
            End::Fault(fault) => Some(fault.clone()),
            End::Closed if self.mode == PublishMode::Ndjson => {
                Some("the server closed the publisher's connection before its answer".to_owned())
            }
            End::Closed if unanswered > 0 => Some(format!(
                "the server closed the publisher's connection with {unanswered} messages \
                 unanswered, and whether it took them is not known; let it keep connections longer \
                 (nginx: keepalive_requests) or publish in turns (--publish-mode turns)"
            )),
            End::Closed => None,
        }
    }

    /// Reads answers until the last that can come.
    fn read(&self, incoming: Patient) -> End {
        let mut responses = Responses::new(incoming);
        while !self.is_answered() {
            let response = match responses.next() {
                Ok(Some(response)) => response,
                Ok(None) => return End::Closed,
                Err(_) if self.is_answered() => break,
                Err(error) if is_reset(&error) => return End::Closed,
                Err(error) => return End::Fault(format!("the answer to a publish: {error}")),
            };
            match self.take(&response) {
                Err(fault) => return End::Fault(fault),
                Ok(()) if self.mode == PublishMode::Ndjson => break,
                Ok(()) if response.closes => return End::Closed,
                Ok(()) => {}
            }
        }
        End::Answered
    }

    /// Whether all that was written has been answered, and nothing more will be written. In one long
    /// request the answer ends the reading.
    fn is_answered(&self) -> bool {
        self.complete.load(Ordering::Acquire)
            && self.mode != PublishMode::Ndjson
            && self.unanswered() == 0
    }

    /// Messages written that the server has not said it took.
    fn unanswered(&self) -> u64 {
        self.sent.load(Ordering::Acquire).saturating_sub(self.accepted())
    }

    /// Counts one answer.
    fn take(&self, response: &Response) -> Result<(), String> {
        let Response { status, body, .. } = response;
        if !(200..300).contains(status) {
            let text = String::from_utf8_lossy(body);
            return Err(format!("the server refused a publish: {status} {}", text.trim()));
        }
        match self.mode {
            PublishMode::Post | PublishMode::Turns => {
                self.closing.store(response.closes, Ordering::Release);
                self.accepted.fetch_add(1, Ordering::Release);
                Ok(())
            }
            PublishMode::Ndjson => self.take_sum(body),
        }
    }

    /// The answer to a request of many lines says how many messages they were.
    fn take_sum(&self, body: &[u8]) -> Result<(), String> {
        if !self.complete.load(Ordering::Acquire) {
            return Err("the server answered before the publish request had ended".to_owned());
        }
        let sent = self.sent.load(Ordering::Acquire);
        let answer = serde_json::from_slice::<Value>(body).ok();
        let published = answer.and_then(|answer| answer["published"].as_u64()).unwrap_or(sent);
        self.accepted.store(published, Ordering::Release);
        match published == sent {
            true => Ok(()),
            false => Err(format!("the server says it published {published} of {sent}")),
        }
    }
}

/// Reads on through time-outs until the answers are in or overdue.
struct Patient {
    connection: TcpStream,
    progress: Arc<Progress>,
    /// Since when nothing has come after all was written.
    silent: Option<Instant>,
}

impl Read for Patient {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.read(buf) {
                Err(error) if is_timeout(&error) => {}
                outcome => {
                    self.silent = None;
                    return outcome;
                }
            }
            let overdue = self.progress.complete.load(Ordering::Acquire)
                && self.silent.get_or_insert_with(Instant::now).elapsed() > ANSWER_DEADLINE;
            if overdue || self.progress.is_answered() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "none came"));
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

fn is_reset(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}
