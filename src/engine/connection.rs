//! One subscriber's connection, and what is known of it in each state.

use std::time::Instant;

use tokio::sync::oneshot;

use super::{group::GroupId, owed::Owed};
use crate::{
    http::Version,
    log::{Cursor, Sequence},
};

/// The state of a connection. A live one costs these bytes and its place in its group.
#[derive(Debug)]
pub(super) enum Connection {
    /// Its request head has not arrived in full; this much has.
    Reading(Option<Box<PartialHead>>),
    /// It waits to hear whether it may come in.
    Asking(Box<Asking>),
    /// It has had everything up to its core's position.
    Live {
        group: GroupId,
        /// Its place among the group's live members.
        member: u32,
        /// Whether a timer of its is queued, from when it was reading or lagging.
        has_timer: bool,
        /// When it subscribed, by `Core::seconds`.
        since: u32,
    },
    /// It has a cursor of its own and catches up.
    Lagging(Box<Lagging>),
    /// It was refused and told so; what it still sends is thrown away until it ends.
    Refused { discarded: usize },
}

const _: () = assert!(size_of::<Connection>() <= 16, "every connection pays for what is added");

/// What has arrived of a head.
#[derive(Debug, Default)]
pub(super) struct PartialHead {
    pub(super) bytes: Vec<u8>,
}

/// A connection that is being decided about.
#[derive(Debug)]
pub(super) struct Asking {
    /// Its head, in case that it is handed over.
    pub(super) received: Vec<u8>,
    pub(super) version: Version,
    /// Whether the timer of its head is queued yet.
    pub(super) has_timer: bool,
    /// Dropped with it, which tells whoever decides that nobody waits any more.
    pub(super) _waits: oneshot::Receiver<()>,
}

/// What a connection needs that is not up to date.
#[derive(Debug)]
pub(super) struct Lagging {
    pub(super) group: GroupId,
    /// Where it goes on, after the prelude.
    pub(super) cursor: Cursor,
    pub(super) prelude: Prelude,
    /// Frames from here on were published since it came: too many of them are too much lag.
    pub(super) came_at: Sequence,
    /// What was offered to it and is neither written nor discarded.
    pub(super) owed: Owed,
    pub(super) pace: Pace,
    /// When it last took a byte.
    pub(super) progress_at: Instant,
    /// Whether a timer of its is queued. It has one at most: one that is due early is put off.
    pub(super) has_timer: bool,
    /// When it subscribed, by `Core::seconds`.
    pub(super) since: u32,
    /// Its place among the core's lagging connections.
    pub(super) place: u32,
}

/// What is still to send before the frames at the cursor: of the response head, of a gap event or a
/// heartbeat, or the rest of a frame that may be gone by then.
#[derive(Debug, Default)]
pub(super) struct Prelude {
    pub(super) bytes: Vec<u8>,
    /// Its last bytes are those of a frame, which is delivered with them.
    pub(super) ends_frame: bool,
}

impl Prelude {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, ends_frame: false }
    }

    /// The rest of a frame: at most a message.
    pub(super) fn rest_of_frame(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), ends_frame: true }
    }
}

/// What a lagging connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Its turn.
    Ready,
    /// Room in the kernel's buffer.
    Blocked,
    /// The core, whose position it is ahead of.
    Ahead,
}

/// Why a connection ended: each has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The peer closed or reset it.
    Left,
    /// It took no byte for its write-stall deadline while it was owed some.
    Stalled,
    /// The Log overtook it: it was too slow for too long.
    Overtaken,
    /// Its head was not complete by its deadline.
    HeadDeadline,
    /// It was refused, and told why.
    Refused,
    /// It was given to the control runtime.
    HandedOver,
    /// It could not be given to the control runtime, for want of descriptors.
    NotHandedOver,
    /// The server was shut down.
    Shutdown,
    /// Its time was up: that of its token, or of its age.
    Expired,
    /// An operator closed it.
    Operator,
}

impl EndReason {
    /// Every reason, in the order of [`EndReason::index`].
    pub const ALL: [Self; 10] = [
        Self::Left,
        Self::Stalled,
        Self::Overtaken,
        Self::HeadDeadline,
        Self::Refused,
        Self::HandedOver,
        Self::NotHandedOver,
        Self::Shutdown,
        Self::Expired,
        Self::Operator,
    ];

    /// Its place in [`EndReason::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Its name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Stalled => "stalled",
            Self::Overtaken => "overtaken",
            Self::HeadDeadline => "head_deadline",
            Self::Refused => "refused",
            Self::HandedOver => "handed_over",
            Self::NotHandedOver => "not_handed_over",
            Self::Shutdown => "shutdown",
            Self::Expired => "expired",
            Self::Operator => "operator",
        }
    }
}
