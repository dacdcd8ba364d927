//! One peer: what it asks for, and how it behaves.

use std::time::Duration;

use fastrand::Rng;

use super::{
    admission::{LAG, LASTS, PEER, WAITS, lag_name},
    plan::Plan,
    selection::{self, selected},
    subscription::Subscription,
};
use crate::{limits, provider::LagPolicy};

/// A peer. Its number is that of its connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) asks: Asks,
    /// What its kernel holds that it has not read.
    pub(super) window: usize,
    request: Vec<u8>,
    /// Bytes of a complete head.
    head_len: usize,
    sent: usize,
    in_pieces: bool,
    reads: Reads,
    leaves: Leaves,
    /// Sends on when its request is out, though nobody wants to know.
    is_chatty: bool,
}

/// What it wants.
#[derive(Debug)]
pub(super) enum Asks {
    Subscription(Box<Subscription>),
    HandOver,
    /// What is refused for what it says.
    Refusal,
    /// What is no request.
    Junk,
    /// Its head never ends.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    Promptly,
    Slowly,
    /// So much, and then no more.
    UpTo(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaves {
    Never,
    /// Closes its end now and then.
    Fin,
    Reset,
}

impl Peer {
    /// The peer with the next number.
    pub(super) fn draw(
        rng: &mut Rng,
        plan: &Plan,
        number: usize,
        last_event_id: Option<String>,
    ) -> Self {
        let mut peer = Self::subscriber(rng, plan, number, last_event_id);
        if rng.u8(0..100) < plan.peers.unhealthy {
            peer.fall_ill(rng, number);
        }
        peer
    }

    fn subscriber(
        rng: &mut Rng,
        plan: &Plan,
        number: usize,
        last_event_id: Option<String>,
    ) -> Self {
        let names = selection::draw(rng, &plan.peers, plan.publishing.topics);
        let version = if plan.peers.has_bare && rng.bool() { "1.0" } else { "1.1" };
        let lag = if rng.u8(0..100) < plan.peers.lagging {
            *rng.choice(&[LagPolicy::SkipToNewest, LagPolicy::Conflate]).expect("there are two")
        } else {
            LagPolicy::Disconnect
        };
        let resume = last_event_id.as_ref().map(|id| format!("Last-Event-ID: {id}\r\n"));
        let lasts = (rng.u8(0..100) < plan.peers.expiring).then(|| rng.u64(1..30_000));
        let until = lasts.map(|lasts| format!("{LASTS}: {lasts}\r\n"));
        let waits = rng.u8(0..100) < plan.peers.waiting;
        let request = format!(
            "GET /{} HTTP/{version}\r\nHost: x\r\n{PEER}: {number}\r\n{LAG}: {}\r\n{}{}{}\r\n",
            names.join(","),
            lag_name(lag),
            resume.unwrap_or_default(),
            until.unwrap_or_default(),
            if waits { format!("{WAITS}: yes\r\n") } else { String::new() },
        );
        let lasts = lasts.map(Duration::from_millis);
        let subscription = Subscription::new(selected(&names), last_event_id, lag, lasts);
        Self {
            asks: Asks::Subscription(Box::new(subscription)),
            window: rng.usize(1..=plan.peers.window_max),
            head_len: request.len(),
            request: request.into_bytes(),
            sent: 0,
            in_pieces: rng.u8(0..100) < plan.peers.in_pieces,
            reads: Reads::Promptly,
            leaves: Leaves::Never,
            is_chatty: false,
        }
    }

    /// Becomes another kind of peer than a subscriber that reads.
    fn fall_ill(&mut self, rng: &mut Rng, number: usize) {
        match rng.u8(0..12) {
            0 | 1 => self.reads = Reads::Slowly,
            2 | 3 => self.reads = Reads::UpTo(rng.usize(..3000)),
            4 => self.leaves = Leaves::Fin,
            5 => self.leaves = Leaves::Reset,
            6 => self.is_chatty = true,
            7 => {
                let head = format!("POST / HTTP/1.1\r\n{PEER}: {number}\r\nContent-Length: 4\r\n");
                self.ask(Asks::HandOver, format!("{head}Host: x\r\n\r\n").as_bytes());
                self.request.extend(b"body");
            }
            8 => {
                let method = if rng.bool() { "DELETE" } else { "PUT" };
                let head = format!("{method} / HTTP/1.1\r\nHost: x\r\n\r\n");
                self.ask(Asks::Refusal, head.as_bytes());
            }
            9 => {
                self.is_chatty = rng.bool();
                self.ask(Asks::Junk, &junk(rng));
            }
            10 => {
                let begun = rng.usize(..self.head_len);
                self.request.truncate(begun);
                self.asks = Asks::Nothing;
            }
            _ => {
                self.reads = Reads::UpTo(0);
                self.leaves = Leaves::Reset;
            }
        }
    }

    fn ask(&mut self, asks: Asks, head: &[u8]) {
        self.asks = asks;
        self.head_len = head.len();
        self.request = head.to_vec();
    }

    /// Whether it gives the core no reason to cut it or to let it wait.
    pub(super) fn is_healthy(&self) -> bool {
        self.reads == Reads::Promptly && self.leaves == Leaves::Never
    }

    pub(super) fn subscription(&self) -> Option<&Subscription> {
        match &self.asks {
            Asks::Subscription(subscription) => Some(subscription),
            _ => None,
        }
    }

    pub(super) fn subscription_mut(&mut self) -> Option<&mut Subscription> {
        match &mut self.asks {
            Asks::Subscription(subscription) => Some(subscription),
            _ => None,
        }
    }

    /// Whether so many bytes of what it sends hold its head.
    pub(super) fn is_head_in(&self, received: usize) -> bool {
        received >= self.head_len
    }

    /// Whether it has sent all that it means to send.
    pub(super) fn has_asked(&self) -> bool {
        self.sent == self.request.len()
    }

    /// What it sends next.
    pub(super) fn says(&mut self, rng: &mut Rng, is_calm: bool) -> Vec<u8> {
        let rest = self.request.len() - self.sent;
        if rest == 0 {
            let is_talking = self.is_chatty && !is_calm && rng.u8(0..4) == 0;
            return vec![
                b'z';
                if is_talking { rng.usize(..2 * limits::HEAD_BYTES_MAX) } else { 0 }
            ];
        }
        let count = if self.in_pieces && !is_calm { rng.usize(1..=rest) } else { rest };
        let from = self.sent;
        self.sent += count;
        self.request[from..from + count].to_vec()
    }

    /// How much it reads now, having read so much.
    pub(super) fn reads_now(&self, rng: &mut Rng, read: usize, is_calm: bool) -> usize {
        match self.reads {
            Reads::Promptly if is_calm || rng.bool() => usize::MAX,
            Reads::Promptly => rng.usize(..1000),
            Reads::Slowly if is_calm => 0,
            Reads::Slowly => rng.usize(..100),
            Reads::UpTo(max) => max.saturating_sub(read).min(rng.usize(..1000)),
        }
    }

    /// Whether it closes its end now, and how.
    pub(super) fn leaves_by_reset(&self, rng: &mut Rng) -> Option<bool> {
        let leaves = self.leaves != Leaves::Never && rng.u8(0..20) == 0;
        leaves.then_some(self.leaves == Leaves::Reset)
    }
}

/// What is no request.
fn junk(rng: &mut Rng) -> Vec<u8> {
    match rng.u8(0..16) {
        0 => [&b"GET / HTTP/1.1\r\nx: "[..], &[b'x'; limits::HEAD_BYTES_MAX]].concat(),
        1..5 => b"\x16\x03\x01\r\n\r\n".to_vec(),
        5..10 => b"GET / HTTP/1.1\r\nno host: x\r\n\r\n".to_vec(),
        _ => b"GET / HTTP/2.0\r\n\r\n".to_vec(),
    }
}
