//! Where a subscription begins: at the head, after the last event it saw, or after a gap.
//!
//! I5: a resume is contiguous, or the in-band `fanfare.gap` event comes before any later message.

use std::sync::Arc;

use serde::Serialize;

use super::LocalProvider;
use crate::{
    log::{AutomaticId, Cursor, Sequence, Topic},
    sse::{EventId, EventType, Message},
};

/// The event type that tells of a gap.
pub const GAP_EVENT: &str = "fanfare.gap";

/// Where a new subscription starts reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// What to send first.
    pub cursor: Cursor,
    /// The encoded gap event to send before, if something was lost.
    pub gap: Option<Vec<u8>>,
}

#[derive(Serialize)]
struct Gap<'g> {
    requested: &'g str,
    first_available: String,
    reason: Reason,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::provider) enum Reason {
    /// The frames after it are no longer retained.
    Evicted,
    /// It is an id of another life of the Log.
    Epoch,
    /// It is not an id of this Log.
    Unknown,
}

/// Characters of the client's id that the gap event repeats.
const REQUESTED_CHARS_MAX: usize = 128;

impl LocalProvider {
    /// Where a subscription of `topics` starts. Their interest must have been added before, so that
    /// nothing published after this is missed.
    pub fn start(&self, topics: &[Arc<Topic>], last_event_id: Option<&str>) -> Start {
        let Some(requested) = last_event_id.filter(|id| !id.is_empty()) else {
            return Start { cursor: Cursor::at(self.log().head()), gap: None };
        };
        match self.resume(topics, requested) {
            Ok(sequence) => Start { cursor: Cursor::at(sequence), gap: None },
            Err(reason) => self.start_after_gap(requested, reason),
        }
    }

    /// The first frame after the requested one, if none in between is lost.
    fn resume(&self, topics: &[Arc<Topic>], requested: &str) -> Result<Sequence, Reason> {
        let next = self.after(requested)?;
        // An id from ahead of the head is one that was seen elsewhere: it gets nothing until the
        // Log has passed it.
        if next >= self.log().head() {
            return Ok(next);
        }
        if topics.iter().any(|topic| topic.retired_below() > next) {
            return Err(Reason::Evicted);
        }
        Ok(next)
    }

    /// The sequence that follows the message with this id.
    fn after(&self, requested: &str) -> Result<Sequence, Reason> {
        let automatic: Result<AutomaticId, _> = requested.parse();
        match automatic {
            Ok(id) if id.epoch == self.log().epoch() => {
                Ok(Sequence::new(id.position.saturating_add(1)))
            }
            other => match (self.log().find_own_id(requested), other) {
                (Some(sequence), _) => Ok(sequence.plus(1)),
                (None, Ok(_)) => Err(Reason::Epoch),
                (None, Err(_)) => Err(Reason::Unknown),
            },
        }
    }

    fn start_after_gap(&self, requested: &str, reason: Reason) -> Start {
        let tail = self.log().tail();
        let first = AutomaticId { epoch: self.log().epoch(), position: tail.number() };
        let gap = gap_message(requested, first, reason);
        Start { cursor: Cursor::at(tail), gap: Some(gap.to_bytes()) }
    }
}

/// Says that what followed `requested` is lost, and that `first` is what comes next.
pub(in crate::provider) fn gap_message(
    requested: &str,
    first: AutomaticId,
    reason: Reason,
) -> Message {
    let gap = Gap { requested: truncated(requested), first_available: first.to_string(), reason };
    // A client that reconnects before the next message resumes from here, not into the gap.
    let before = AutomaticId { position: first.position - 1, ..first }.to_string();
    Message::new(serde_json::to_string(&gap).expect("strings always serialise"))
        .id(EventId::new(before).expect("an automatic id is a valid one"))
        .event(EventType::new(GAP_EVENT).expect("the name is a valid type"))
}

fn truncated(text: &str) -> &str {
    text.char_indices().nth(REQUESTED_CHARS_MAX).map_or(text, |(end, _)| &text[..end])
}
