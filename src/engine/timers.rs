//! Deadlines of connections, soonest first.
//!
//! A deadline is never cancelled: when it is due, the connection's state tells whether it still
//! stands. Nor does each wake its core: every connection has one, of its head, and those of many that
//! came together are looked at together, a little late.

use std::{cmp::Reverse, collections::BinaryHeap, time::Instant};

use super::driver::Socket;
use crate::limits;

#[derive(Debug, Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Instant, u32, u32)>>);

impl Timers {
    pub(super) fn add(&mut self, at: Instant, socket: Socket) {
        self.0.push(Reverse((at, socket.slot, socket.generation)));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// When to look next if nothing else happens.
    pub(super) fn next(&self) -> Option<Instant> {
        self.soonest().map(|at| at + limits::DEADLINE_SLACK)
    }

    pub(super) fn has_due(&self, now: Instant) -> bool {
        self.soonest().is_some_and(|at| at <= now)
    }

    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Socket> {
        if !self.has_due(now) {
            return None;
        }
        let Reverse((_, slot, generation)) = self.0.pop()?;
        if self.0.is_empty() {
            self.0.shrink_to_fit();
        }
        Some(Socket { slot, generation })
    }

    fn soonest(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, ..))| *at)
    }
}
