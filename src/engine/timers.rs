//! Deadlines of connections, soonest first.
//!
//! A deadline is never cancelled: when it is due, the connection's state tells whether it still
//! stands.

use std::{cmp::Reverse, collections::BinaryHeap, time::Instant};

use super::driver::Socket;

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

    pub(super) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, ..))| *at)
    }

    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Socket> {
        self.next().filter(|&at| at <= now)?;
        let Reverse((_, slot, generation)) = self.0.pop()?;
        if self.0.is_empty() {
            self.0.shrink_to_fit();
        }
        Some(Socket { slot, generation })
    }
}
