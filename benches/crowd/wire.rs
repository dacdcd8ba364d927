//! What both ends agree on: commands and answers between the processes, and what an event says.

use std::{fmt, net::SocketAddr, ops::Range, time::Duration};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// What a member is told, one line of JSON each. It answers each with one line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Command {
    /// Connects and subscribes. Answer: [`Connected`], when every head is in.
    Connect(Plan),
    /// Reads on until so many events have come in all, or the time is over. Answer: [`Tally`].
    Await { deliveries: u64, within: Duration },
    /// Closes every connection, in order or by a reset. Answer: nothing but an empty line.
    Leave,
    /// Accepts whoever comes and answers with a head, with nothing behind it. Answer: the address.
    Hold,
    /// Sends to everybody that it holds. Answer: the CPU time of sending.
    Send(Round),
}

/// Events of the common topic that a floor sends in one piece.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Round {
    pub(super) counters: Range<u64>,
    /// Bytes of an event's data.
    pub(super) size: usize,
}

/// Which connections a member opens, and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    /// Connected to in turn, as the kernel spreads connections over cores.
    pub(super) servers: Vec<SocketAddr>,
    /// Which of the crowd it is.
    pub(super) connections: Range<usize>,
    /// Number of the first address to connect from.
    pub(super) source: u32,
    pub(super) topics: Topics,
    pub(super) reads: Reads,
    pub(super) pace: Pace,
    /// What the kernel is asked to hold for each; its own choice if none.
    pub(super) receive_buffer: Option<usize>,
}

/// What a connection subscribes to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Topics {
    /// All to the common topic.
    Common,
    /// Each to its own and to the common one.
    OwnAndCommon,
    /// Each to one of so many.
    OneOf(u32),
}

/// How a connection reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reads {
    /// Everything at once, from an event that is the first of its topic.
    FromFirst,
    /// Everything at once, from wherever it comes in.
    FromHere,
    /// Everything at once, and throws it away unseen.
    Discards,
    /// Its head, and nothing else.
    Never,
    /// Its head, then leaves.
    Leaves,
    /// One byte per second.
    Drips,
    /// Everything for a second, nothing for three.
    StopsAndGoes,
}

/// How fast connections are opened.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Pace {
    /// As fast as it goes, with so many under way at a time.
    Window(usize),
    /// So many per second, whatever becomes of them.
    Rate(f64),
}

/// Every head is in.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Connected {
    pub(super) began: u64,
    pub(super) ended: u64,
    /// Microseconds from when a connection was due to its head's first byte.
    pub(super) first_byte: Counts,
    /// Connections that were refused, reset, or answered otherwise.
    pub(super) failed: u64,
}

/// What has come: deliveries since the beginning, everything else since the last time.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) deliveries: u64,
    /// When the last one came.
    pub(super) last_at: u64,
    /// Microseconds from publishing to reading.
    pub(super) latency: Counts,
    pub(super) faults: Faults,
}

/// What is not as it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Faults {
    /// Counters of a topic that were passed over.
    pub(super) lost: u64,
    /// Counters that came again, or after a later one.
    pub(super) repeated: u64,
    /// Events of topics that were not subscribed to, or not as they were published.
    pub(super) foreign: u64,
    /// In-band gap events.
    pub(super) gaps: u64,
    /// Streams that ended.
    pub(super) ended: u64,
}

/// A histogram's values with how often each was seen.
pub(super) type Counts = Vec<(u64, u64)>;

/// A topic: a letter for its kind and a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Topic {
    pub(super) kind: u8,
    pub(super) number: u32,
}

/// The topic of all.
pub(super) const COMMON: Topic = Topic { kind: b'c', number: 0 };

impl Topics {
    /// The topics of one connection.
    pub(super) fn of(self, connection: usize) -> Vec<Topic> {
        match self {
            Self::Common => vec![COMMON],
            Self::OwnAndCommon => vec![Topic::own(connection), COMMON],
            Self::OneOf(count) => vec![Topic::shared(connection as u32 % count)],
        }
    }
}

impl Topic {
    /// The topic that one connection alone has.
    pub(super) fn own(connection: usize) -> Self {
        Self { kind: b'o', number: connection as u32 }
    }

    /// One of several that many share.
    pub(super) fn shared(number: u32) -> Self {
        Self { kind: b's', number }
    }

    /// What an event of this topic says: which it is, when it was published, and padding.
    pub(super) fn data(self, counter: u64, now: u64, size: usize) -> String {
        let mut data = format!("{self} {counter} {now} ");
        data.extend(std::iter::repeat_n('x', size.saturating_sub(data.len())));
        data
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", char::from(self.kind), self.number)
    }
}

impl Faults {
    pub(super) fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.repeated += other.repeated;
        self.foreign += other.foreign;
        self.gaps += other.gaps;
        self.ended += other.ended;
    }
}

/// A histogram of microseconds up to five minutes.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 300_000_000, 3).expect("the bounds are in order")
}

/// What a histogram has, to be sent.
pub(super) fn counts(histogram: &Histogram<u64>) -> Counts {
    let recorded = histogram.iter_recorded();
    recorded.map(|step| (step.value_iterated_to(), step.count_at_value())).collect()
}

/// Adds what another process has counted.
pub(super) fn add_counts(histogram: &mut Histogram<u64>, counts: &Counts) {
    for &(value, count) in counts {
        histogram.saturating_record_n(value, count);
    }
}

/// The time that all processes of a machine share, in nanoseconds.
pub(super) fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
