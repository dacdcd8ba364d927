//! What some connections hold while they last: a ticket, and when they end.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use rustc_hash::FxHashMap;

use super::{admission::Ticket, driver::Socket};
use crate::limits;

/// The leases of a core's connections. Most connections have none, and cost nothing here.
#[derive(Debug, Default)]
pub(super) struct Leases {
    by_slot: FxHashMap<u32, Lease>,
    ends: BTreeSet<(Instant, u32)>,
}

#[derive(Debug)]
struct Lease {
    socket: Socket,
    ends_at: Option<Instant>,
    _ticket: Option<Ticket>,
}

impl Leases {
    /// What a connection holds until [`give_back`](Self::give_back). It has none yet.
    pub(super) fn take(
        &mut self,
        socket: Socket,
        lasts: Option<Duration>,
        ticket: Option<Ticket>,
        now: Instant,
    ) {
        if lasts.is_none() && ticket.is_none() {
            return;
        }
        // Longer than the clock can say is for ever.
        let ends_at = lasts.and_then(|lasts| now.checked_add(lasts));
        self.ends.extend(ends_at.map(|at| (at, socket.slot)));
        self.by_slot.insert(socket.slot, Lease { socket, ends_at, _ticket: ticket });
    }

    /// The connection has ended.
    pub(super) fn give_back(&mut self, socket: Socket) {
        if self.by_slot.is_empty() {
            return;
        }
        let Some(lease) = self.by_slot.remove(&socket.slot) else { return };
        debug_assert_eq!(lease.socket, socket, "a slot's lease goes with its connection");
        if let Some(at) = lease.ends_at {
            self.ends.remove(&(at, socket.slot));
        }
    }

    /// A connection whose time is up. It stays here until it is given back.
    pub(super) fn over(&self, now: Instant) -> Option<Socket> {
        let &(at, slot) = self.ends.first()?;
        (at <= now).then(|| self.by_slot[&slot].socket)
    }

    /// When to look next if nothing else happens.
    pub(super) fn next(&self) -> Option<Instant> {
        self.ends.first().map(|(at, _)| *at + limits::DEADLINE_SLACK)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_slot.len()
    }
}
