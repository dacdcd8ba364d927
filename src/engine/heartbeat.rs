//! Heartbeats: a comment now and then on streams that are quiet, so that proxies keep them open and
//! peers that are gone are found out.
//!
//! A live connection has no timer of its own. A round over the connection table, a stretch of slots at
//! a time, takes one interval, so a connection's turn comes once in each, and the turns of all are
//! spread over it. Whoever's group got something within the last half interval is passed over: a stream
//! is quiet for one and a half intervals at most.

use std::time::{Duration, Instant};

use super::{
    connection::{Connection, Prelude},
    core::Core,
    driver::{Driver, Send, Sent, Socket},
};
use crate::{
    http::{HEARTBEAT_BARE, HEARTBEAT_CHUNKED},
    log::{Cursor, Framing},
};

impl<D: Driver> Core<D> {
    /// Sends the heartbeats that are due. Only between two passes: then every live connection is at
    /// the core's position, and between two frames.
    pub(super) fn beat(&mut self, now: Instant) {
        if self.connections.len() == 0 || self.drain.is_some_and(|drain| drain.is_over(now)) {
            self.heartbeat.pause();
            return;
        }
        if self.pass.end().is_some() {
            return;
        }
        let Some(slots) = self.heartbeat.take_due(self.connections.slots(), now) else { return };
        let quiet = self.connections.range(slots).filter_map(|(socket, connection)| {
            let Connection::Live { group, .. } = connection else { return None };
            let group = self.groups.get(*group);
            let is_quiet = is_quiet(self.heartbeat.interval(), group.active_at, now);
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
            self.fall_behind(
                socket,
                Prelude::new(rest.to_vec()),
                Cursor::at(self.position),
                0,
                now,
            );
        }
    }
}

fn heartbeat(framing: Framing) -> &'static [u8] {
    match framing {
        Framing::Chunked => HEARTBEAT_CHUNKED,
        Framing::Bare => HEARTBEAT_BARE,
    }
}

/// Whether somebody who last got something at `active_at` is to get a heartbeat.
fn is_quiet(interval: Option<Duration>, active_at: Instant, now: Instant) -> bool {
    let half = interval.unwrap_or_default() / 2;
    now.saturating_duration_since(active_at) >= half
}
