//! Every bound in one place, each with what it costs.
//!
//! Nothing that a peer can grow is without a line here (ARCHITECTURE.md, I7). What an operator may
//! want to change is a default; what protects the process from a peer is a constant.

use std::time::Duration;

/// Most bytes of a request head. Held on the heap only while a head has arrived in part.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Most headers of a request.
pub const HEADERS_MAX: usize = 64;

/// A head must be complete this long after the connection was accepted, however it drips.
pub const HEAD_DEADLINE: Duration = Duration::from_secs(10);

/// Most bytes of one published message: of a body, or of one line of an NDJSON body.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// Most bytes of an encoded message: the largest body with its id, event type and framing.
pub const MESSAGE_BYTES_MAX: usize = BODY_BYTES_MAX + 1024;

/// A body must make progress within this time.
pub const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// Most bytes of a topic's name.
pub const TOPIC_BYTES_MAX: usize = 256;

/// Most topics of one subscription. A subscriber on n topics costs O(n) where it catches up.
pub const TOPICS_PER_SUBSCRIPTION_MAX: usize = 32;

/// Most topics of one message. Each costs one index entry of 8 B in the Log.
pub const TOPICS_PER_MESSAGE_MAX: usize = 32;

/// Most bytes of an event id: browsers preflight longer ones on a cross-origin reconnect.
pub const EVENT_ID_BYTES_MAX: usize = 128;

/// Most bytes of an event type.
pub const EVENT_TYPE_BYTES_MAX: usize = 128;

/// A connection that takes no byte for this long while it is owed some is cut.
pub const WRITE_STALL_DEADLINE: Duration = Duration::from_secs(10);

/// Default bytes of history the Log keeps; also how far a subscriber may lag before it is cut.
pub const HISTORY_BYTES_DEFAULT: usize = 64 * 1024 * 1024;

/// Least history: two of the smallest segments.
pub const HISTORY_BYTES_MIN: usize = 2 * SEGMENT_BYTES_MIN;

/// Smallest segment: one message of [`BODY_BYTES_MAX`] and its framing must fit.
pub const SEGMENT_BYTES_MIN: usize = 2 * BODY_BYTES_MAX;

/// Largest segment: retention works by whole segments, so this is also its grain.
pub const SEGMENT_BYTES_MAX: usize = 1024 * 1024;

const _: () = assert!(SEGMENT_BYTES_MIN <= SEGMENT_BYTES_MAX);
