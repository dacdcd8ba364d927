//! Where a subscription begins: at the head, after the last event it saw, or after a gap.
//!
//! I5: a resume is contiguous, or the in-band `fanfare.gap` event comes before any later message.

use std::{collections::HashMap, sync::Arc};

use serde::Serialize;

use super::{
    AfterGap, LocalProvider,
    topic_name::{is_pattern, matches},
};
use crate::{
    log::{AutomaticId, Cursor, Sequence, Topic, TopicId},
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

/// Why a subscription cannot go on where its last one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::provider) enum GapReason {
    /// The messages after it are no longer retained, or may not be replayed any more.
    Evicted,
    /// It is an id of another life of the Log.
    Epoch,
    /// It is not an id of this Log.
    Unknown,
    /// The subscriber was too slow, and has skipped what follows it.
    Lagged,
}

#[derive(Serialize)]
struct Gap<'g> {
    requested: &'g str,
    first_available: String,
    reason: GapReason,
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
            Err(reason) => self.start_after_gap(topics, requested, reason),
        }
    }

    /// Whether the Log cannot resume what is asked for, and there is a [`Replayer`](super::Replayer) to
    /// ask instead: an async task must then serve the subscription.
    pub fn needs_replayer(&self, names: &[String], last_event_id: Option<&str>) -> bool {
        let Some(requested) = last_event_id.filter(|id| !id.is_empty()) else { return false };
        if self.replayer().is_none() {
            return false;
        }
        let Ok(topics) = self.join(names) else { return false };
        let resumed = self.resume(&topics, requested);
        self.leave(&topics);
        resumed.is_err()
    }

    /// The first frame after the requested one, if none in between is lost.
    pub(super) fn resume(
        &self,
        topics: &[Arc<Topic>],
        requested: &str,
    ) -> Result<Sequence, GapReason> {
        let next = self.after(requested)?;
        // An id from ahead of the head is one that was seen elsewhere: it gets nothing until the
        // Log has passed it.
        if next >= self.log().head() {
            return Ok(next);
        }
        let first = self.first_replayable();
        let is_over = |topic: &Arc<Topic>| next < first && topic.has_any(next..first);
        if !self.is_retained(topics, next) || topics.iter().any(is_over) {
            return Err(GapReason::Evicted);
        }
        Ok(next)
    }

    /// Whether the Log has every frame of these topics from `next` on.
    pub(super) fn is_retained(&self, topics: &[Arc<Topic>], next: Sequence) -> bool {
        self.complete_patterns(topics, next);
        topics.iter().all(|topic| topic.complete_from() <= next)
    }

    /// The first frame that may be replayed.
    pub(super) fn first_replayable(&self) -> Sequence {
        let replay = self.settings().replay;
        replay.first(self.log(), self.log().head(), self.now_if(replay.needs_time()))
    }

    /// The id of a frame by its place, whichever id it went out with.
    pub(super) fn id_at(&self, sequence: Sequence) -> AutomaticId {
        AutomaticId { epoch: self.log().epoch(), position: sequence.number() }
    }

    /// The sequence that follows the message with this id.
    fn after(&self, requested: &str) -> Result<Sequence, GapReason> {
        let automatic: Result<AutomaticId, _> = requested.parse();
        match automatic {
            Ok(id) if id.epoch == self.log().epoch() => {
                Ok(Sequence::new(id.position.saturating_add(1)))
            }
            other => match (self.log().find_own_id(requested), other) {
                (Some(sequence), _) => Ok(sequence.plus(1)),
                (None, Ok(_)) => Err(GapReason::Epoch),
                (None, Err(_)) => Err(GapReason::Unknown),
            },
        }
    }

    pub(super) fn start_after_gap(
        &self,
        topics: &[Arc<Topic>],
        requested: &str,
        reason: GapReason,
    ) -> Start {
        let first = match self.settings().after_gap {
            AfterGap::Everything => self.first_replayable(),
            AfterGap::Live => self.log().head(),
        };
        self.complete_patterns(topics, first);
        let gap = gap_message(requested, self.id_at(first), reason);
        Start { cursor: Cursor::at(first), gap: Some(gap.to_bytes()) }
    }

    /// Sees to it that the patterns among `topics` know their frames from `from` on, as far as they are
    /// retained. A pattern that is new knows none: that costs O(frames from `from` on), once.
    pub(super) fn complete_patterns(&self, topics: &[Arc<Topic>], from: Sequence) {
        for pattern in topics.iter().filter(|topic| topic.is_pattern()) {
            if from < pattern.complete_from() {
                let from = from.max(self.log().tail());
                let older = self.find_matching(pattern, from);
                pattern.prepend(&older, from);
            }
        }
    }

    /// The frames from `from` on that were published before the pattern began.
    fn find_matching(&self, pattern: &Topic, from: Sequence) -> Vec<Sequence> {
        let end = pattern.complete_from();
        let mut matching: HashMap<TopicId, bool> = HashMap::new();
        let mut is_match = |topic: &Arc<Topic>| {
            *matching.entry(topic.id()).or_insert_with(|| {
                !is_pattern(topic.name()) && matches(pattern.name(), topic.name())
            })
        };
        let mut found = Vec::new();
        let mut next = from;
        while next < end
            // What is retired by now is found to be so when it is read.
            && let Some(segment) = self.log().segment(next.max(self.log().tail()))
        {
            let frames = segment.frames(next..end);
            found.extend(
                frames
                    .filter(|frame| frame.topics().iter().any(&mut is_match))
                    .map(|frame| frame.sequence()),
            );
            next = segment.end().max(next.plus(1));
        }
        found
    }
}

/// Says that what followed `requested` is lost, and that `first` is what comes next.
pub(in crate::provider) fn gap_message(
    requested: &str,
    first: AutomaticId,
    reason: GapReason,
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
