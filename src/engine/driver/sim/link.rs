//! One connection, both ends of it.

use std::{fmt, time::Instant};

use crate::engine::connection::EndReason;

/// A connection of the simulation, by its place among all there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::engine) struct LinkId(pub(in crate::engine) usize);

/// How a peer ended its side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum PeerEnd {
    /// It sends no more, and may still read.
    Fin,
    Reset,
}

/// How a core ended its side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Ended {
    Closed(EndReason),
    GivenAway,
    /// It was to be given away, and there was no descriptor for it.
    NotGivenAway,
    /// Its core was over before it looked at the connection.
    NeverAccepted,
}

/// What both ends have done so far.
pub(in crate::engine) struct Link {
    /// The core that it has connected to.
    pub(in crate::engine) core: usize,
    /// All that the peer has sent.
    pub(in crate::engine) request: Vec<u8>,
    /// How much of that the core has received.
    pub(in crate::engine) received: usize,
    pub(in crate::engine) peer_end: Option<PeerEnd>,
    /// All that the kernel has taken of what the core sent.
    pub(in crate::engine) response: Vec<u8>,
    /// How much of that the peer has read.
    pub(in crate::engine) read: usize,
    /// What the kernel takes that the peer has not read.
    pub(in crate::engine) window: usize,
    /// When its core first looked at it.
    pub(in crate::engine) accepted_at: Option<Instant>,
    /// When the kernel last took a byte.
    pub(in crate::engine) progress_at: Instant,
    /// Since when the core owes it something that the kernel did not take.
    pub(in crate::engine) short_since: Option<Instant>,
    /// When its core waited, and would have been told if there had been room.
    pub(in crate::engine) no_room_at: Option<Instant>,
    /// When the core ended its sending side, having refused the peer.
    pub(in crate::engine) finished_at: Option<Instant>,
    pub(in crate::engine) ended: Option<Ended>,
    pub(in crate::engine) ended_at: Option<Instant>,
}

impl Link {
    pub(in crate::engine) fn new(core: usize, window: usize, now: Instant) -> Self {
        Self {
            core,
            request: Vec::new(),
            received: 0,
            peer_end: None,
            response: Vec::new(),
            read: 0,
            window,
            accepted_at: None,
            progress_at: now,
            short_since: None,
            no_room_at: None,
            finished_at: None,
            ended: None,
            ended_at: None,
        }
    }

    /// Bytes the kernel would take now.
    pub(in crate::engine) fn room(&self) -> usize {
        self.window.saturating_sub(self.response.len() - self.read)
    }

    /// What the peer has not read yet.
    pub(in crate::engine) fn unread(&self) -> usize {
        self.response.len() - self.read
    }

    /// The peer reads at most this much.
    pub(in crate::engine) fn read(&mut self, max: usize) -> usize {
        let count = self.unread().min(max);
        self.read += count;
        count
    }

    pub(in crate::engine) fn is_finished(&self) -> bool {
        self.finished_at.is_some()
    }

    pub(in crate::engine) fn is_reset(&self) -> bool {
        self.peer_end == Some(PeerEnd::Reset)
    }

    pub(super) fn to_receive(&self) -> &[u8] {
        if self.is_reset() { &[] } else { &self.request[self.received..] }
    }

    /// The kernel has taken so much of what it was offered.
    pub(super) fn take(&mut self, offered: &[u8], count: usize, now: Instant) {
        self.response.extend_from_slice(&offered[..count]);
        if count > 0 {
            self.progress_at = now;
        }
        if count == offered.len() {
            self.short_since = None;
        } else if count > 0 || self.short_since.is_none() {
            self.short_since = Some(now);
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { core, received, peer_end, read, window, short_since, ended, .. } = self;
        f.debug_struct("Link")
            .field("core", core)
            .field("requested", &self.request.len())
            .field("received", received)
            .field("peer_end", peer_end)
            .field("responded", &self.response.len())
            .field("read", read)
            .field("window", window)
            .field("is_short", &short_since.is_some())
            .field("is_finished", &self.is_finished())
            .field("ended", ended)
            .finish_non_exhaustive()
    }
}
