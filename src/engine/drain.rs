//! Draining: no more connections, and an end in order for those there are.
//!
//! The streams may end one after the other over a while, so that whoever they turn to next is not met
//! by all of them at once; each is told when to come back, and not all the same. Whoever has not had
//! what it is owed gets its deadline more.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use super::{
    connection::{Connection, EndReason},
    core::Core,
    driver::{Driver, Socket},
    intake::framed,
};
use crate::{
    http::{LAST_CHUNK, come_back},
    limits,
    log::Framing,
};

/// How far draining is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    began: Instant,
    /// How long it takes to end all.
    over: Duration,
    /// How long whoever is owed something has after that.
    deadline: Duration,
    /// Slots that there were when it began, and those that have had their turn.
    slots: usize,
    next_slot: usize,
}

/// Slots whose turn comes at a time, at most.
const SLOTS_PER_TURN: usize = 256;

impl Drain {
    fn new(over: Duration, slots: usize, connections: usize, began: Instant) -> Self {
        let pace =
            limits::DRAIN_PACE.saturating_mul(u32::try_from(connections).unwrap_or(u32::MAX));
        Self { began, over: over.min(pace), deadline: limits::DRAIN_DEADLINE, slots, next_slot: 0 }
    }

    /// Takes no longer than that from now on.
    fn hurry(&mut self, over: Duration, now: Instant) {
        self.over = self.over.min((now - self.began).saturating_add(over));
    }

    /// When those that are owed nothing have all ended.
    fn over_at(&self) -> Instant {
        self.began + self.over
    }

    /// When it ends, whatever anybody is owed.
    fn until(&self) -> Instant {
        self.over_at() + self.deadline
    }

    /// Whether every stream's turn has come.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.over_at() <= now
    }

    /// When there is something to do if nothing else happens.
    pub(super) fn next(&self, now: Instant) -> Instant {
        if self.is_over(now) {
            return self.until();
        }
        let step = self.over / self.slots.div_ceil(SLOTS_PER_TURN).max(1) as u32;
        self.over_at().min(now + step)
    }

    /// The slots whose turn has come.
    fn take_due(&mut self, now: Instant) -> Range<usize> {
        let elapsed = now.saturating_duration_since(self.began).as_secs_f64();
        let share = (elapsed / self.over.as_secs_f64()).min(1.0);
        let due = (self.slots as f64 * share) as usize;
        let start = self.next_slot.min(due);
        self.next_slot = due.min(start + SLOTS_PER_TURN);
        start..self.next_slot
    }
}

impl<D: Driver> Core<D> {
    pub(super) fn begin_drain(&mut self, over: Duration, now: Instant) {
        self.stop_accepting();
        self.go_to_head();
        let (slots, connections) = (self.connections.slots(), self.connections.len());
        let deadline = self.limits.drain_deadline;
        let begun = || Drain { deadline, ..Drain::new(over, slots, connections, now) };
        self.drain.get_or_insert_with(begun).hurry(over, now);
    }

    /// While draining: ends whoever has had everything and whose turn it is, and everyone when time
    /// is up.
    pub(super) fn drain(&mut self, now: Instant) {
        let Some(mut drain) = self.drain else { return };
        let has_time = now < drain.until();
        let is_owed = self.is_owed();
        if is_owed && has_time {
            return;
        }
        let has_all = |(socket, connection): (Socket, &Connection)| {
            let waits = matches!(connection, Connection::Lagging(_) | Connection::Refused { .. });
            (!waits || !has_time).then_some(socket)
        };
        let ending: Vec<Socket> = if drain.is_over(now) {
            self.connections.iter().filter_map(has_all).collect()
        } else {
            let due = drain.take_due(now);
            self.connections.range(due).filter_map(has_all).collect()
        };
        self.drain = Some(drain);
        for socket in ending {
            if is_owed {
                self.end(socket, EndReason::Shutdown);
            } else {
                self.end_in_order(socket, EndReason::Shutdown);
            }
        }
    }

    /// Ends a connection, and tells it so if it has had everything: then it is between two frames.
    pub(super) fn end_in_order(&mut self, socket: Socket, reason: EndReason) {
        if let Some(&Connection::Live { group, .. }) = self.connections.get(socket) {
            let framing = self.groups.get(group).manner.framing;
            let mut last = Vec::new();
            if reason == EndReason::Shutdown {
                last = framed(&come_back(socket.slot.wrapping_add(socket.generation)), framing);
            }
            if framing == Framing::Chunked {
                last.extend_from_slice(LAST_CHUNK);
            }
            if !last.is_empty() {
                // Whoever has no room for it now is cut instead, which is no loss.
                let _ = self.send_one(socket, &last);
            }
        }
        self.end(socket, reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_its_turn_once_and_in_time() {
        let over = Duration::from_secs(10);
        for slots in [1, 255, 256, 257, 100_000] {
            let start = Instant::now();
            let mut drain = Drain::new(over, slots, slots.max(10_000), start);
            let (mut now, mut next_slot) = (start, 0);
            while !drain.is_over(now) {
                let due = drain.take_due(now);
                assert_eq!(due.start, next_slot);
                next_slot = due.end;
                let elapsed = (now - start).as_secs_f64() / over.as_secs_f64();
                let expected = (elapsed * slots as f64) as usize;
                assert!(next_slot.abs_diff(expected) <= SLOTS_PER_TURN, "{next_slot} {expected}");
                now = drain.next(now);
            }
            assert!(slots - next_slot <= SLOTS_PER_TURN, "{slots}: {next_slot}");
            assert_eq!(drain.next(now), start + over + limits::DRAIN_DEADLINE);
        }
    }

    #[test]
    fn few_connections_take_little_time() {
        let start = Instant::now();
        let drain = Drain::new(Duration::from_secs(3600), 3, 3, start);
        assert!(drain.is_over(start + 3 * limits::DRAIN_PACE));
        let mut at_once = Drain::new(Duration::from_secs(60), 100_000, 100_000, start);
        assert!(!at_once.is_over(start + Duration::from_secs(59)));
        at_once.hurry(Duration::ZERO, start + Duration::from_secs(1));
        assert!(at_once.is_over(start + Duration::from_secs(1)));
    }
}
