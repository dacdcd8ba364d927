//! What a worker has counted in a slice of time. All of it can be added up: over time, and over workers.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::shape::EventShape;
use crate::histogram::{self, encoded};

/// Faults that are described one by one; the rest are only counted.
const EXAMPLES_MAX: usize = 5;

/// One slice of one worker.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Slice {
    pub(crate) worker: u32,
    /// When it began and ended, on the run's clock.
    pub(crate) from_ns: u64,
    pub(crate) to_ns: u64,
    /// Streams that stand at its end.
    pub(crate) up: u32,
    pub(crate) tally: Tally,
    pub(crate) watch: Watch,
    /// Events whose way is complete, or was waited for long enough.
    pub(crate) shapes: Vec<EventShape>,
}

/// What the members did. Histograms are in microseconds.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Tally {
    /// From the intended publish time to the return of the read that brought the message, of every intact
    /// message that came for the first time; of slow members not.
    #[serde(with = "encoded")]
    pub(crate) latency: Histogram<u64>,
    /// From the write that published to that read.
    #[serde(with = "encoded")]
    pub(crate) service: Histogram<u64>,
    /// From the intended start of a connection to TCP's handshake.
    #[serde(with = "encoded")]
    pub(crate) tcp: Histogram<u64>,
    /// From the intended start of a connection to the first byte of its answer.
    #[serde(with = "encoded")]
    pub(crate) first_byte: Histogram<u64>,
    /// Until a member was back.
    #[serde(with = "encoded")]
    pub(crate) back: Histogram<u64>,
    /// Until a member had caught up.
    #[serde(with = "encoded")]
    pub(crate) caught_up: Histogram<u64>,
    /// Intact messages that arrived for the first time, by what is asked of the member.
    pub(crate) delivered: u64,
    pub(crate) delivered_to_slow: u64,
    pub(crate) delivered_to_passing: u64,
    /// Of all these, recognised by comparison with a proven frame.
    pub(crate) recognised: u64,
    /// Of those in `latency`, the late ones.
    pub(crate) late: u64,
    /// Events of others.
    pub(crate) foreign: u64,
    /// Of these, those that tell of a gap.
    pub(crate) gaps: u64,
    /// Bytes after the response heads.
    pub(crate) bytes: u64,
    /// Connections begun, those that became a stream, and those that did not.
    pub(crate) attempted: u64,
    pub(crate) connected: u64,
    pub(crate) failed: u64,
    /// Streams that the server has ended; of slow members apart.
    pub(crate) cut: u64,
    pub(crate) slow_cut: u64,
    /// Stays of passing members that have ended as planned.
    pub(crate) went: u64,
    /// When the first connection began, the last became a stream, and the last message came; of a blind run, the
    /// last bytes.
    pub(crate) first_attempt_ns: Option<u64>,
    pub(crate) last_connected_ns: u64,
    pub(crate) last_delivery_ns: u64,
    /// Faults that were seen: not those that show at the end only.
    pub(crate) faults: u64,
    /// The first of them, and the first failure to connect, in words.
    pub(crate) examples: Vec<String>,
    pub(crate) first_failure: Option<String>,
}

/// How the worker itself did.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Watch {
    /// CPU time of its process.
    pub(crate) cpu_ns: u64,
    /// How late its event loop came to what was due, in microseconds.
    #[serde(with = "encoded")]
    pub(crate) loop_lag: Histogram<u64>,
    /// Sockets that were looked at, and what they held unread.
    pub(crate) looks: u64,
    pub(crate) backlog_bytes: u64,
    pub(crate) backlog_max_bytes: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            latency: histogram::empty(),
            service: histogram::empty(),
            tcp: histogram::empty(),
            first_byte: histogram::empty(),
            back: histogram::empty(),
            caught_up: histogram::empty(),
            delivered: 0,
            delivered_to_slow: 0,
            delivered_to_passing: 0,
            recognised: 0,
            late: 0,
            foreign: 0,
            gaps: 0,
            bytes: 0,
            attempted: 0,
            connected: 0,
            failed: 0,
            cut: 0,
            slow_cut: 0,
            went: 0,
            first_attempt_ns: None,
            last_connected_ns: 0,
            last_delivery_ns: 0,
            faults: 0,
            examples: Vec::new(),
            first_failure: None,
        }
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            cpu_ns: 0,
            loop_lag: histogram::empty(),
            looks: 0,
            backlog_bytes: 0,
            backlog_max_bytes: 0,
        }
    }
}

impl Tally {
    /// Counts a fault, and describes it as long as there are few.
    pub(crate) fn describe(&mut self, member: u32, fault: impl FnOnce() -> String) {
        self.faults += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(format!("subscriber {member}: {}", fault()));
        }
    }

    /// Adds what another has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.latency += &other.latency;
        self.service += &other.service;
        self.tcp += &other.tcp;
        self.first_byte += &other.first_byte;
        self.back += &other.back;
        self.caught_up += &other.caught_up;
        self.delivered += other.delivered;
        self.delivered_to_slow += other.delivered_to_slow;
        self.delivered_to_passing += other.delivered_to_passing;
        self.recognised += other.recognised;
        self.late += other.late;
        self.foreign += other.foreign;
        self.gaps += other.gaps;
        self.bytes += other.bytes;
        self.attempted += other.attempted;
        self.connected += other.connected;
        self.failed += other.failed;
        self.cut += other.cut;
        self.slow_cut += other.slow_cut;
        self.went += other.went;
        self.first_attempt_ns =
            [self.first_attempt_ns, other.first_attempt_ns].into_iter().flatten().min();
        self.last_connected_ns = self.last_connected_ns.max(other.last_connected_ns);
        self.last_delivery_ns = self.last_delivery_ns.max(other.last_delivery_ns);
        self.faults += other.faults;
        let room = EXAMPLES_MAX.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.iter().take(room).cloned());
        if self.first_failure.is_none() {
            self.first_failure.clone_from(&other.first_failure);
        }
    }
}

impl Watch {
    /// Adds what another has seen.
    pub(crate) fn add(&mut self, other: &Self) {
        self.cpu_ns += other.cpu_ns;
        self.loop_lag += &other.loop_lag;
        self.looks += other.looks;
        self.backlog_bytes += other.backlog_bytes;
        self.backlog_max_bytes = self.backlog_max_bytes.max(other.backlog_max_bytes);
    }
}
