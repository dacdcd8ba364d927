//! Where do frames live? The Log: one append-only order of encoded frames (I1), in memory.
//!
//! A frame is appended under the append lock, published by one Release store of the head, and read
//! from a cursor without a lock: live fan-out, catching up and replay are the same thing. Old
//! segments are dropped whole when the history is larger than allowed; whoever still reads one
//! keeps it alive until the read is over. Nothing is queued per subscriber.

pub mod append_only;
pub mod index;
pub mod interest;
pub mod signal;
pub mod stopwatch;
pub mod window;

#[cfg(not(fanfare_loom))]
mod history;
#[cfg(not(fanfare_loom))]
mod id;
#[cfg(not(fanfare_loom))]
mod latest;
#[cfg(not(fanfare_loom))]
mod own_ids;
#[cfg(not(fanfare_loom))]
mod read;
#[cfg(not(fanfare_loom))]
mod segment;
mod sequence;
#[cfg(not(fanfare_loom))]
mod topic;

#[cfg(not(fanfare_loom))]
pub(crate) use self::segment::{chunk_len, write_chunk};
#[cfg(not(fanfare_loom))]
pub use self::{
    history::{Append, Log, LogOptions},
    id::{AutomaticId, NotAutomatic},
    interest::ReaderId,
    read::{Cursor, Framing, Overtaken, Run, Wanted},
    segment::{Frame, FrameTopics, Segment},
    topic::{Topic, TopicId},
};

pub use self::sequence::Sequence;
