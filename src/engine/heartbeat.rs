//! Heartbeats: a comment now and then on streams that are quiet, so that proxies keep them open and
//! peers that are gone are found out.
//!
//! A live connection has no timer of its own. A round over the connection table, a stretch of slots at
//! a time, takes one interval, so a connection's turn comes once in each, and the turns of all are
//! spread over it. Whoever's group got something within the last half interval is passed over: a stream
//! is quiet for one and a half intervals at most.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use super::{
    connection::{Connection, Prelude},
    core::Core,
    driver::{Driver, Send, Sent, Socket},
};
use crate::{
    http::{HEARTBEAT_BARE, HEARTBEAT_CHUNKED},
    log::{Cursor, Framing},
};

/// Slots looked at in one turn: what is sent to them holds a core as long as a slice of a pass does.
const SLOTS_PER_TURN: usize = 256;

/// Where the round is.
#[derive(Debug)]
pub(super) struct Heartbeat {
    interval: Option<Duration>,
    next_slot: usize,
    next_at: Option<Instant>,
}

impl Heartbeat {
    /// A round takes `interval`; without one there are no heartbeats.
    pub(super) fn every(interval: Option<Duration>) -> Self {
        Self { interval, next_slot: 0, next_at: None }
    }

    /// When the next stretch is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next_at
    }

    /// The slots whose turn it is, of a table of `slots`. What could not be done in time is not made up
    /// for: a clock that jumps must not become a burst.
    fn take_due(&mut self, slots: usize, now: Instant) -> Option<Range<usize>> {
        let interval = self.interval?;
        let step = interval / slots.div_ceil(SLOTS_PER_TURN).max(1) as u32;
        if *self.next_at.get_or_insert(now + step) > now {
            return None;
        }
        self.next_at = Some(now + step);
        let start = if self.next_slot < slots { self.next_slot } else { 0 };
        self.next_slot = start + SLOTS_PER_TURN;
        Some(start..self.next_slot.min(slots))
    }

    /// Whether somebody who last got something at `active_at` is to get a heartbeat.
    fn is_quiet(&self, active_at: Instant, now: Instant) -> bool {
        let half = self.interval.unwrap_or_default() / 2;
        now.saturating_duration_since(active_at) >= half
    }
}

impl<D: Driver> Core<D> {
    /// Sends the heartbeats that are due. Only between two passes: then every live connection is at
    /// the core's position, and between two frames.
    pub(super) fn beat(&mut self, now: Instant) {
        if self.connections.len() == 0 || self.drain.is_some_and(|drain| drain.is_over(now)) {
            self.heartbeat.next_at = None;
            return;
        }
        if self.pass.end().is_some() {
            return;
        }
        let Some(slots) = self.heartbeat.take_due(self.connections.slots(), now) else { return };
        let quiet = self.connections.range(slots).filter_map(|(socket, connection)| {
            let Connection::Live { group, .. } = connection else { return None };
            let group = self.groups.get(*group);
            let is_quiet = self.heartbeat.is_quiet(group.active_at, now);
            is_quiet.then_some(Send { socket, bytes: heartbeat(group.manner.framing) })
        });
        let sends: Vec<Send<'_>> = quiet.collect();
        let mut sent = Vec::with_capacity(sends.len());
        self.driver.send(&sends, &mut sent);
        self.context.counters.heartbeats.add(sends.len());
        self.context.counters.sends.add(sends.len());
        for (send, outcome) in sends.iter().zip(sent) {
            self.beaten(send.socket, send.bytes, outcome, now);
        }
    }

    /// A stream without room for a heartbeat lags: it is watched from now on, and cut if it stays so.
    fn beaten(&mut self, socket: Socket, bytes: &[u8], outcome: Sent, now: Instant) {
        let Sent::Bytes(count) = outcome else {
            return self.end(socket, super::EndReason::Left);
        };
        self.context.counters.bytes_sent.add(count);
        if count < bytes.len() {
            // One that has not begun is left out.
            let rest = if count == 0 { &[] } else { &bytes[count..] };
            self.fall_behind(socket, Prelude::new(rest.to_vec()), Cursor::at(self.position), now);
        }
    }
}

fn heartbeat(framing: Framing) -> &'static [u8] {
    match framing {
        Framing::Chunked => HEARTBEAT_CHUNKED,
        Framing::Bare => HEARTBEAT_BARE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_comes_to_every_slot_once_in_an_interval() {
        let interval = Duration::from_secs(15);
        for slots in [1, 255, 256, 257, 10_000] {
            let mut heartbeat = Heartbeat::every(Some(interval));
            let start = Instant::now();
            assert_eq!(heartbeat.take_due(slots, start), None);
            let mut looked_at = vec![0; slots];
            while let Some(at) = heartbeat.next().filter(|&at| at <= start + interval) {
                for slot in heartbeat.take_due(slots, at).expect("it is due") {
                    looked_at[slot] += 1;
                }
            }
            assert!(looked_at.iter().all(|&times| times == 1), "{slots} slots");
        }
    }

    #[test]
    fn a_clock_that_jumps_is_no_burst() {
        let mut heartbeat = Heartbeat::every(Some(Duration::from_secs(15)));
        let start = Instant::now();
        heartbeat.take_due(10_000, start);
        let later = start + Duration::from_secs(3600);
        assert_eq!(heartbeat.take_due(10_000, later), Some(0..256));
        assert_eq!(heartbeat.take_due(10_000, later), None);
    }

    #[test]
    fn without_an_interval_nothing_is_ever_due() {
        let mut heartbeat = Heartbeat::every(None);
        assert_eq!(heartbeat.take_due(10, Instant::now() + Duration::from_secs(60)), None);
        assert_eq!(heartbeat.next(), None);
    }
}
