//! What lagging subscribers are owed, in messages: so that whatever was offered is written, pending or
//! discarded at any moment.
//!
//! A live subscriber is offered messages with the send that has them, and owed none before or after. One
//! that lags is offered what a pass comes to, which its group counts for all of them at once; what is
//! older, where it resumes, counts as it is read. So a delivery costs no counting of its own.

use super::{
    connection::Connection,
    core::Core,
    counters::Discard,
    driver::{Driver, Socket},
    group::{Group, GroupId},
};
use crate::{
    log::{Run, Sequence},
    provider::LagPolicy,
};

/// The account of one lagging subscriber.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owed {
    /// Messages from here on, and below `counted_from`, are counted when they are read.
    unread: Sequence,
    /// From here on its group counts for it; none: not yet.
    counted_from: Option<Sequence>,
    /// So many of those that were counted are written or discarded. It wraps, as it begins below what its
    /// group has counted for others.
    settled: u64,
}

impl Owed {
    /// Of a subscriber that begins at `start`. Nothing is counted for it yet.
    pub(super) fn from(start: Sequence) -> Self {
        Self { unread: start, counted_from: None, settled: 0 }
    }

    /// Of one that was live until it got no more than what is before `next`, where the last pass had
    /// `messages` more for it.
    fn since(next: Sequence, messages: usize, group: &Group) -> Self {
        let settled = group.offered.wrapping_sub(messages as u64);
        Self { unread: next, counted_from: Some(next), settled }
    }

    /// Messages that were counted and are neither written nor discarded.
    fn pending(&self, group: &Group) -> u64 {
        let by_group = if self.counted_from.is_some() { group.offered } else { 0 };
        by_group.wrapping_sub(self.settled)
    }

    /// Begins to be counted for by its group, whose count has everything before `at`.
    fn count_from(&mut self, at: Sequence, group: &Group) {
        self.counted_from = Some(at);
        self.settled = self.settled.wrapping_add(group.offered);
    }

    /// A run was read. Gives how many of its messages had not been counted.
    fn read(&mut self, run: &Run) -> usize {
        let below = self.counted_from.unwrap_or(Sequence::new(u64::MAX));
        if self.unread >= below {
            return 0;
        }
        let count = run.frames_in(self.unread..below);
        self.unread = run.cursor_after(run.bytes().len()).sequence.max(self.unread);
        self.settled = self.settled.wrapping_sub(count as u64);
        count
    }

    /// So many of the messages are written.
    pub(super) fn settle(&mut self, messages: usize) {
        self.settled = self.settled.wrapping_add(messages as u64);
    }

    /// It goes on with `newest`, which is the last message of those that are read below `below`. Gives how
    /// many it is owed no more.
    fn skip_to(&mut self, newest: Sequence, below: Sequence, group: &Group) -> u64 {
        let is_by_group = self.counted_from.is_some_and(|from| (from..below).contains(&newest));
        let kept = u64::from(newest < self.unread || is_by_group);
        self.unread = self.unread.max(newest);
        let skipped = self.pending(group).saturating_sub(kept);
        self.settled = self.settled.wrapping_add(skipped);
        skipped
    }
}

impl<D: Driver> Core<D> {
    /// The account of a subscriber that was live, and is owed so many messages of the last pass.
    pub(super) fn owed_since(&mut self, group: GroupId, next: Sequence, messages: usize) -> Owed {
        let group = self.groups.get_mut(group);
        group.counting += 1;
        Owed::since(next, messages, group)
    }

    /// Has a lagging subscriber counted for by its group from where the core is, unless it is ahead of that.
    pub(super) fn begin_counting(&mut self, socket: Socket) {
        let below = self.reads_below();
        let Some(Connection::Lagging(lagging)) = self.connections.get_mut(socket) else { return };
        let group = self.groups.get_mut(lagging.group);
        let is_due = lagging.cursor.sequence.max(group.named_from) <= below;
        if lagging.owed.counted_from.is_none() && is_due {
            lagging.owed.count_from(below, group);
            group.counting += 1;
        }
    }

    /// A lagging subscriber is no more, or lags no more.
    pub(super) fn stop_counting(&mut self, group: GroupId, owed: Owed) {
        if owed.counted_from.is_some() {
            self.groups.get_mut(group).counting -= 1;
        }
    }

    /// A lagging subscriber is about to be sent this.
    pub(super) fn offer(&mut self, socket: Socket, run: &Run) {
        if let Some(Connection::Lagging(lagging)) = self.connections.get_mut(socket) {
            self.context.counters.offered.add(lagging.owed.read(run));
        }
    }

    /// A lagging subscriber that was too slow goes on with `first`. What one that conflates leaves out is
    /// known once it is live.
    pub(super) fn discard_skipped(&mut self, socket: Socket, first: Sequence) {
        let below = self.reads_below();
        let Some(Connection::Lagging(lagging)) = self.connections.get_mut(socket) else { return };
        let group = self.groups.get(lagging.group);
        if group.manner.lag == LagPolicy::SkipToNewest {
            let skipped = lagging.owed.skip_to(first, below, group);
            self.context.counters.discarded(Discard::Skipped).add(skipped as usize);
        }
    }

    /// A lagging subscriber has come to where the core is: what it was not sent it has left out.
    pub(super) fn discard_left_out(&mut self, socket: Socket) {
        let Some(Connection::Lagging(lagging)) = self.connections.get(socket) else { return };
        let why = match self.groups.get(lagging.group).manner.lag {
            LagPolicy::Conflate => Discard::Conflated,
            LagPolicy::SkipToNewest => Discard::Skipped,
            LagPolicy::Disconnect => {
                debug_assert_eq!(self.owed(socket), 0, "messages were lost in silence");
                return;
            }
        };
        self.discard_owed(socket, why);
    }

    /// A subscriber ends before it has had what it is owed.
    pub(super) fn discard_owed(&mut self, socket: Socket, why: Discard) {
        self.context.counters.discarded(why).add(self.owed(socket) as usize);
    }

    /// Messages that were offered to a subscriber, and are neither written nor discarded.
    pub(super) fn owed(&self, socket: Socket) -> u64 {
        match self.connections.get(socket) {
            Some(Connection::Lagging(lagging)) => {
                lagging.owed.pending(self.groups.get(lagging.group))
            }
            _ => 0,
        }
    }
}
