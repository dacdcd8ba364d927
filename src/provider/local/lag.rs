//! Where a subscriber goes on that reads too slowly.

use std::sync::Arc;

use super::{
    LocalProvider, Start,
    start::{GapReason, gap_message},
};
use crate::{
    log::{Cursor, Sequence, Topic},
    provider::{LagPolicy, SubscribeRequest},
};

impl LocalProvider {
    /// What becomes of this subscriber where it lags.
    pub fn lag_policy(&self, request: &SubscribeRequest) -> LagPolicy {
        request.lag.unwrap_or_else(|| self.settings().lag)
    }

    /// Whether a subscriber that came at `came_at`, and has had everything before `next`, is farther
    /// behind than it may be.
    pub fn lags_too_far(
        &self,
        topics: &[Arc<Topic>],
        policy: LagPolicy,
        came_at: Sequence,
        next: Sequence,
    ) -> bool {
        let Some(bytes) = self.settings().lag_bytes else { return false };
        if policy == LagPolicy::Conflate {
            return false;
        }
        let allowed = self.log().first_of_last_bytes(bytes, self.log().head());
        let next = next.max(came_at);
        next < allowed && topics.iter().any(|topic| topic.has_any(next..allowed))
    }

    /// Where a subscriber goes on that lags too far and has had everything before `next`; none where its
    /// policy is to cut it.
    pub fn skip(&self, topics: &[Arc<Topic>], policy: LagPolicy, next: Sequence) -> Option<Start> {
        let head = self.log().head();
        // A pattern's index may name frames yet that are retired.
        let retained = next.max(self.log().tail());
        let first = match policy {
            LagPolicy::Disconnect => return None,
            LagPolicy::SkipToNewest => {
                let newest = topics.iter().filter_map(|topic| topic.newest(retained..head)).max();
                newest.unwrap_or(head)
            }
            LagPolicy::Conflate => retained,
        };
        // A new pattern knows nothing from before it began: reading from there would fail again.
        self.complete_patterns(topics, first);
        let last_seen = self.id_at(Sequence::new(next.number() - 1)).to_string();
        let gap = gap_message(&last_seen, self.id_at(first), GapReason::Lagged);
        Some(Start { cursor: Cursor::at(first), gap: Some(gap.to_bytes()) })
    }
}
