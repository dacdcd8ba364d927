//! The peers: who connects, and what each does next.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
};

use super::World;
use crate::engine::{
    HandedOver,
    driver::sim::{LinkId, PeerEnd},
    simulation::peer::{Asks, Peer},
};

impl World {
    pub(super) fn connect(&mut self) {
        let open = (0..self.peers.len()).filter(|&number| self.is_open(number)).count();
        if open >= self.plan.peers.at_once_max {
            return;
        }
        let last_event_id = self.last_event_id();
        let peer = Peer::draw(&mut self.rng, &self.plan, self.peers.len(), last_event_id);
        let core = self.rng.usize(..self.cores.len());
        let Some(link) = self.network.borrow_mut().connect(core, peer.window) else { return };
        self.peers.push(peer);
        self.oracle.watch(link);
        if self.rng.bool() {
            self.peer_acts(link);
        }
    }

    pub(super) fn last_event_id(&mut self) -> Option<String> {
        let publisher = self.publisher.borrow();
        let resumes = self.rng.u8(0..100) < self.plan.peers.resuming;
        if !resumes {
            return None;
        }
        let count = publisher.published.len();
        let recent = count.saturating_sub(self.rng.usize(..40));
        Some(match self.rng.u8(0..10) {
            0 => "nonsense".to_owned(),
            1 => format!("{:08x}-3", !self.plan.log.epoch),
            2 => publisher.id_at(count as u64 + self.rng.u64(..20)),
            3 => publisher.id_at(self.rng.u64(..=count as u64)),
            4 | 5 => publisher.id_at(recent as u64),
            _ => {
                let message = publisher.published.get(recent.saturating_sub(1));
                message.map_or_else(|| publisher.id_at(0), |message| message.id.clone())
            }
        })
    }

    pub(super) fn is_open(&self, number: usize) -> bool {
        let network = self.network.borrow();
        let link = network.link(LinkId(number));
        link.ended.is_none() && !link.is_reset()
    }

    pub(super) fn some_peer(&mut self) {
        let open: Vec<usize> =
            (0..self.peers.len()).filter(|&number| self.is_open(number)).collect();
        if let Some(&number) = self.rng.choice(&open) {
            self.peer_acts(LinkId(number));
        }
    }

    /// Most of them; all when it is calm.
    pub(super) fn peers_act(&mut self) {
        for number in 0..self.peers.len() {
            if self.is_open(number) && (self.is_calm || self.rng.bool()) {
                self.peer_acts(LinkId(number));
            }
        }
    }

    /// A peer sends, reads or leaves.
    pub(super) fn peer_acts(&mut self, id: LinkId) {
        let peer = &mut self.peers[id.0];
        let mut network = self.network.borrow_mut();
        let link = network.link_mut(id);
        let before = link.peer_end;
        let read = link.read(peer.reads_now(&mut self.rng, link.read, self.is_calm));
        // Whoever is refused reads why, and is satisfied; but not all are.
        let is_satisfied = link.is_finished() && peer.is_healthy() && link.unread() == 0;
        let by_reset = peer.leaves_by_reset(&mut self.rng);
        let mut sent = 0;
        if link.peer_end.is_none() {
            let bytes = peer.says(&mut self.rng, self.is_calm);
            sent = bytes.len();
            link.request.extend(bytes);
        }
        if by_reset == Some(true) {
            link.peer_end = Some(PeerEnd::Reset);
        } else if by_reset.is_some() || is_satisfied && self.rng.bool() {
            link.peer_end.get_or_insert(PeerEnd::Fin);
        } else if link.peer_end.is_some() && link.unread() == 0 && self.rng.bool() {
            // What comes for a socket that is closed is answered by a reset.
            link.peer_end = Some(PeerEnd::Reset);
        }
        let end = link.peer_end;
        if read > 0 {
            network.note("peer reads", None, id.0, read as u64);
        }
        if sent > 0 {
            network.note("peer sends", None, id.0, sent as u64);
        }
        if let Some(end) = end.filter(|_| end != before) {
            network.note("peer ends", None, id.0, end as u64);
        }
    }

    /// The control runtime takes what it was given, and answers what it was asked.
    pub(super) fn control_acts(&mut self) {
        self.take_handed_over();
        for core in 0..self.cores.len() {
            while let Ok(asked) = self.cores[core].asked.try_recv() {
                let mut run = pin!(asked.run());
                let is_over = run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
                assert!(is_over, "an answer is ready, or its peer has gone");
                if self.admission.has_admitted() {
                    assert!(self.wakes_soon(core), "a core is not told of an answer");
                    // The Log that was noted for the oracle is the one that the subscription begins with.
                    self.publisher.borrow_mut().be_quiet(true);
                    self.turn(core);
                    self.publisher.borrow_mut().be_quiet(self.is_calm);
                }
            }
        }
    }

    fn take_handed_over(&mut self) {
        while let Ok(HandedOver { socket, received }) = self.handed_over.try_recv() {
            let mut network = self.network.borrow_mut();
            let id = network.given_away(&socket);
            let link = network.link(id);
            assert_eq!(received, link.request[..link.received], "bytes are lost in the hand-over");
            assert!(matches!(self.peers[id.0].asks, Asks::HandOver));
        }
    }
}
