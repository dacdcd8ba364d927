//! What the coordinator and its workers say to one another: one JSON document a line, commands on a
//! worker's standard input, events on its standard output.

use std::net::IpAddr;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::audit::Faults;
use super::link::RuntimeChoice;
use super::slice::Slice;
use crate::clock::Clock;
use crate::target::Target;

/// What a worker is told. Members are named by their number in the whole run; a worker does what
/// concerns those that are its own.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum Command {
    /// The first one: what the run is.
    Setup(Box<Setup>),
    /// Connects those of the members that are not connected.
    Connect(Connect),
    /// Resets the connections of these members.
    Kill(Range<u32>),
    /// From now on these members read so many bytes a second.
    Throttle { members: Range<u32>, bytes_per_second: u64 },
    /// Sends what has been counted since the last slice.
    Flush,
    /// Tells the first message that its members have seen of each topic.
    TellFirst,
    /// Ends all connections, closes the books and ends. So many messages were published.
    Finish { published: u64 },
}

/// What a worker tells.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum Event {
    /// It is set up. Nothing is connected.
    Ready { runtime: String, why: String },
    /// How things stand; sent when that has changed.
    Standing(Standing),
    /// What was counted in a slice of time.
    Slice(Box<Slice>),
    /// All that was counted before a `Flush` has been sent.
    Flushed,
    /// The first message that was seen of each topic.
    First(Vec<Option<Seen>>),
    /// The books are closed.
    Closed { faults: Faults },
    /// The worker cannot go on.
    Failed(String),
    /// Its process has ended; the coordinator says so itself.
    Gone,
}

/// What the run is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Setup {
    /// This worker's number.
    pub(crate) worker: u32,
    /// How many workers there are: member `m` belongs to worker `m % workers`.
    pub(crate) workers: u32,
    /// Members of the whole run.
    pub(crate) subscribers: u32,
    pub(crate) target: Target,
    /// Member `m` subscribes to topic `m % topics`, which gets the messages `t`, `t + topics`,
    /// `t + 2 * topics`... of the run.
    pub(crate) topics: Vec<String>,
    pub(crate) payload_bytes: usize,
    pub(crate) payload_seed: u64,
    pub(crate) clock: Clock,
    pub(crate) runtime: RuntimeChoice,
    /// Addresses to connect from, in turn; none: what fits.
    pub(crate) sources: Vec<IpAddr>,
    /// Connections being made at the same time.
    pub(crate) connecting: u32,
    /// From this age on a delivery is late.
    pub(crate) late_after_ns: u64,
    /// Bytes are counted and not looked at.
    pub(crate) blind: bool,
    /// One in so many messages is followed to each of its subscribers; a power of two.
    pub(crate) follow_one_in: u64,
    /// How long a slice is.
    pub(crate) slice_ns: u64,
    /// Members that will read slowly: their receive buffers are small from the start.
    pub(crate) slow: Range<u32>,
    /// Members that come and go.
    pub(crate) passing: Range<u32>,
}

/// How to connect.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Connect {
    pub(crate) members: Range<u32>,
    /// When the first begins.
    pub(crate) start_ns: u64,
    /// Connections a second, at times fixed in advance; nothing: each begins when its turn comes.
    pub(crate) per_second: Option<f64>,
    /// What the server is told of the past.
    pub(crate) resume: Resume,
    /// Since when the time is counted until a member is back and has caught up; nothing: since it began.
    pub(crate) since_ns: Option<u64>,
    /// When a member has caught up.
    pub(crate) caught_up: Option<CaughtUp>,
}

/// How many of the first `count` members, or messages, are of a topic.
pub(crate) fn of_topic(count: u64, topic: u64, topics: u64) -> u64 {
    (count + topics - 1).saturating_sub(topic) / topics
}

impl Connect {
    /// When a member's connection begins, at the earliest.
    pub(crate) fn due_ns(&self, member: u32) -> u64 {
        let before = f64::from(member - self.members.start);
        self.start_ns + self.per_second.map_or(0, |rate| (before / rate * 1e9) as u64)
    }
}

/// What a member says it has seen.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Resume {
    /// Nothing: it begins with what comes.
    Nothing,
    /// The id of its last event.
    Last,
    /// The message of its topic that is here.
    From(Vec<Seen>),
}

/// A message of a topic.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Seen {
    pub(crate) id: String,
    /// Its number in the topic.
    pub(crate) number: u64,
}

/// When a member has caught up.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum CaughtUp {
    /// With the first message that was meant for a time after its connection stood.
    Live,
    /// When it has so many of its topic.
    Messages(u64),
}

/// How a worker's members stand.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Standing {
    /// Streams that stand.
    pub(crate) up: u32,
    /// Connections in the making.
    pub(crate) pending: u32,
    /// Connections that never became a stream, since the beginning.
    pub(crate) failed: u64,
    /// Streams that the server has ended, since the beginning.
    pub(crate) cut: u64,
    /// Messages that arrived at members that are audited to the end, each counted once per member.
    pub(crate) delivered: u64,
    /// Bytes after the response heads.
    pub(crate) bytes: u64,
    /// Members that have caught up, since the beginning.
    pub(crate) caught_up: u64,
    /// Faults so far.
    pub(crate) faults: u64,
}

impl std::ops::AddAssign for Standing {
    fn add_assign(&mut self, other: Self) {
        self.up += other.up;
        self.pending += other.pending;
        self.failed += other.failed;
        self.cut += other.cut;
        self.delivered += other.delivered;
        self.bytes += other.bytes;
        self.caught_up += other.caught_up;
        self.faults += other.faults;
    }
}
