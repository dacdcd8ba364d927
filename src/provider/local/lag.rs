//! Where a subscriber goes on that reads too slowly.

use std::sync::Arc;

use super::{
    LocalProvider, Start,
    start::{GapReason, gap_message},
};
use crate::{
    log::{Cursor, Sequence, Topic},
    provider::{LagPolicy, SubscribeRequest},
    sync::{AtomicU8, AtomicU64, Ordering},
};

/// How far subscribers may lag, and what becomes of those that asked for nothing: read where one
/// subscribes or lags, and changed meanwhile.
#[derive(Debug)]
pub(super) struct LagRule {
    /// Its place in [`POLICIES`].
    policy: AtomicU8,
    /// [`AS_FAR_AS_THE_HISTORY`], or so many bytes.
    bytes: AtomicU64,
}

const POLICIES: [LagPolicy; 3] =
    [LagPolicy::Disconnect, LagPolicy::SkipToNewest, LagPolicy::Conflate];

const AS_FAR_AS_THE_HISTORY: u64 = u64::MAX;

impl LagRule {
    pub(super) fn new(policy: LagPolicy, bytes: Option<u64>) -> Self {
        let rule = Self { policy: AtomicU8::new(0), bytes: AtomicU64::new(0) };
        rule.set(policy, bytes);
        rule
    }

    /// The two are not changed together: a subscriber may meet the new one of one alone.
    pub(super) fn set(&self, policy: LagPolicy, bytes: Option<u64>) {
        let place = POLICIES.iter().position(|one| *one == policy).expect("all are in the list");
        self.policy.store(place as u8, Ordering::Relaxed);
        self.bytes.store(bytes.unwrap_or(AS_FAR_AS_THE_HISTORY), Ordering::Relaxed);
    }

    pub(super) fn policy(&self) -> LagPolicy {
        POLICIES[usize::from(self.policy.load(Ordering::Relaxed))]
    }

    pub(super) fn bytes(&self) -> Option<u64> {
        let bytes = self.bytes.load(Ordering::Relaxed);
        (bytes != AS_FAR_AS_THE_HISTORY).then_some(bytes)
    }
}

impl LocalProvider {
    /// What becomes of this subscriber where it lags.
    pub fn lag_policy(&self, request: &SubscribeRequest) -> LagPolicy {
        request.lag.unwrap_or_else(|| self.lag_default())
    }

    /// What becomes of a subscriber that lags, and did not ask for something else.
    pub fn lag_default(&self) -> LagPolicy {
        self.settings().lag.policy()
    }

    /// How far a subscriber may lag, as [`LocalProviderBuilder::lag_bytes`] has it; none is as far as
    /// the history.
    ///
    /// [`LocalProviderBuilder::lag_bytes`]: super::LocalProviderBuilder::lag_bytes
    pub fn lag_bytes(&self) -> Option<u64> {
        self.settings().lag.bytes()
    }

    /// Changes both: the policy for those that subscribe from now on, the bytes for everybody who lags.
    pub fn set_lag(&self, policy: LagPolicy, bytes: Option<u64>) {
        self.settings().lag.set(policy, bytes);
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
        let Some(bytes) = self.lag_bytes() else { return false };
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
