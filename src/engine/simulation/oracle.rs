//! Whether what the cores did is what they promise. A promise that is broken is a panic.

use std::time::{Duration, Instant};

use super::{
    admission::Admitted,
    peer::{Asks, Peer},
    plan::Plan,
    publisher::Publisher,
    subscription::Subscription,
};
use crate::{
    engine::{
        connection::EndReason,
        core::Core,
        counters::Deliveries,
        driver::sim::{Ended, Link, LinkId, Network, Sim},
    },
    http::HEARTBEAT_CHUNKED,
    limits,
    log::Sequence,
};

/// Watches every connection until it has ended.
#[derive(Debug)]
pub(super) struct Oracle {
    plan: Plan,
    watched: Vec<LinkId>,
    /// When each core was told to drain, and the head of the Log then.
    draining: Vec<Option<(Instant, Sequence)>>,
    /// The core that an operator has told to close a connection, until it has.
    operator: Option<usize>,
    pub(super) tally: Tally,
}

/// What the seeds have met, to see that they meet everything.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) ends: [u64; EndReason::ALL.len()],
    pub(super) streams: u64,
    pub(super) gaps: u64,
    pub(super) skips: u64,
    pub(super) bytes: u64,
    pub(super) published: u64,
    /// Subscriptions found to have had everything.
    pub(super) complete: u64,
    pub(super) virtual_time: Duration,
    pub(super) notes: u64,
}

/// What there is to be looked at after something has happened.
#[derive(Debug)]
pub(super) struct Scene<'s> {
    pub(super) network: &'s Network,
    pub(super) publisher: &'s Publisher,
    pub(super) peers: &'s mut [Peer],
    pub(super) tail: Sequence,
}

/// Whoever was accepted so long ago, and met no fault, has been answered and has read it.
pub(super) const SETTLED: Duration = Duration::from_millis(500);

impl Oracle {
    pub(super) fn new(plan: Plan) -> Self {
        let draining = vec![None; plan.cores];
        Self { plan, watched: Vec::new(), draining, operator: None, tally: Tally::default() }
    }

    pub(super) fn watch(&mut self, link: LinkId) {
        self.watched.push(link);
    }

    pub(super) fn drains(&mut self, core: usize, now: Instant, head: Sequence) {
        self.draining[core].get_or_insert((now, head));
    }

    pub(super) fn operator_closes(&mut self, core: usize) {
        self.operator = Some(core);
    }

    /// Whether what it was told has come about; it is told no more.
    pub(super) fn is_closed_by_operator(&mut self) -> bool {
        self.operator.take().is_none()
    }

    pub(super) fn is_draining(&self, core: usize) -> bool {
        self.draining[core].is_some()
    }

    /// Looks at what a turn of a core has done.
    pub(super) fn look(&mut self, scene: &mut Scene<'_>, admitted: &[Admitted]) {
        for &admitted in admitted {
            let (latest, now) = (scene.publisher.head(), scene.network.now);
            if let Some(subscription) = scene.peers[admitted.peer].subscription_mut() {
                subscription.admitted(admitted, latest, now, scene.publisher, self.plan.log);
            }
        }
        let mut watched = std::mem::take(&mut self.watched);
        watched.retain(|&id| {
            let link = scene.network.link(id);
            if let Some(subscription) = scene.peers[id.0].subscription_mut() {
                subscription.look(&link.response, scene.publisher, scene.tail);
            }
            self.check_reply(link, &scene.peers[id.0], scene.network);
            let Some(ended) = link.ended else { return true };
            self.ended(ended, link, &scene.peers[id.0], scene);
            false
        });
        self.watched = watched;
    }

    /// Whoever does not get what it asked for is told so, and there must be a reason.
    fn check_reply(&self, link: &Link, peer: &Peer, network: &Network) {
        match peer.subscription() {
            Some(_) if link.finished_at == Some(network.now) => {
                let is_full =
                    open_since(network, link.core, network.now) > self.plan.connections_max;
                assert!(is_full || self.is_draining(link.core), "refused for no reason: {peer:?}");
            }
            Some(_) => {}
            None => {
                let reply = link.response.get(..10).unwrap_or_default();
                let is_refusal =
                    reply.is_empty() || reply == b"HTTP/1.1 4" || reply == b"HTTP/1.1 5";
                assert!(is_refusal, "answered with a stream: {peer:?}");
            }
        }
    }

    /// A connection has ended: for a reason that holds.
    fn ended(&mut self, ended: Ended, link: &Link, peer: &Peer, scene: &Scene<'_>) {
        let network = scene.network;
        let now = network.now;
        match ended {
            Ended::NeverAccepted => assert!(self.is_draining(link.core)),
            Ended::GivenAway | Ended::NotGivenAway => {
                assert!(matches!(peer.asks, Asks::HandOver), "given away: {:?}", peer.asks);
                assert!(link.response.is_empty(), "what was answered is given away");
                let reason = match ended {
                    Ended::GivenAway => EndReason::HandedOver,
                    _ => EndReason::NotHandedOver,
                };
                self.tally.ends[reason.index()] += 1;
            }
            Ended::Closed(reason) => {
                self.tally.ends[reason.index()] += 1;
                let holds = match reason {
                    EndReason::Left => link.peer_end.is_some(),
                    EndReason::Stalled => self.was_stalled(link, now),
                    EndReason::Overtaken => self.was_overtaken(peer, scene),
                    EndReason::HeadDeadline => {
                        let accepted = link.accepted_at.expect("it was received from");
                        now >= accepted + limits::HEAD_DEADLINE && !peer.is_head_in(link.received)
                    }
                    EndReason::Refused => link.is_finished(),
                    EndReason::Shutdown => self.was_shut_down(link, peer, scene),
                    EndReason::Expired => {
                        let is_over =
                            |one: &Subscription| one.expires_at().is_some_and(|at| at <= now);
                        peer.subscription().is_some_and(is_over)
                    }
                    EndReason::Operator => self.operator.take() == Some(link.core),
                    EndReason::HandedOver | EndReason::NotHandedOver => false,
                };
                assert!(holds, "ended as {}, which it was not: {peer:?}", reason.name());
            }
        }
        if let Some(subscription) = peer.subscription() {
            self.tally.streams += u64::from(!subscription.is_refused() && subscription.is_begun());
            self.tally.gaps += u64::from(subscription.has_gap);
            self.tally.skips += u64::from(subscription.has_skipped);
        }
        self.tally.bytes += link.response.len() as u64;
    }

    /// It took nothing for long enough, and that is not for want of looking: where no watch is late, it
    /// had no room either when the core last could have been told of some.
    fn was_stalled(&self, link: &Link, now: Instant) -> bool {
        let due = link.progress_at + limits::WRITE_STALL_DEADLINE;
        let had_none = link.no_room_at.is_some_and(|at| at >= due);
        let is_told = self.plan.faults.is_prompt();
        now >= due && link.short_since.is_some() && (had_none || !is_told)
    }

    fn was_overtaken(&self, peer: &Peer, scene: &Scene<'_>) -> bool {
        peer.subscription()
            .is_some_and(|one| one.disconnects() && one.has_lost(scene.tail, scene.publisher))
    }

    /// Whoever has time left is owed all that was published before its core was told to end.
    fn was_shut_down(&self, link: &Link, peer: &Peer, scene: &Scene<'_>) -> bool {
        let Some((told, head)) = self.draining[link.core] else { return false };
        // They end sooner where they are few.
        if scene.network.now >= told + limits::DRAIN_DEADLINE {
            let is_whole = |subscription: &Subscription| {
                subscription.is_complete(&link.response, head, scene.publisher)
            };
            return peer.subscription().is_none_or(|one| !one.is_over() || is_whole(one));
        }
        match peer.subscription() {
            Some(subscription) if subscription.is_begun() && !link.is_finished() => {
                let has_room = link.room() > 0 && self.plan.faults.is_prompt();
                let is_cut = subscription.lacks_last_chunk() && has_room;
                subscription.is_complete(&link.response, head, scene.publisher) && !is_cut
            }
            _ => !link.is_finished(),
        }
    }

    /// Checks what must hold whenever the cores have nothing more to do at the moment: no deadline has
    /// passed without effect.
    pub(super) fn check_deadlines(&self, scene: &Scene<'_>) {
        let now = scene.network.now;
        for &id in &self.watched {
            let link = scene.network.link(id);
            let Some(accepted) = link.accepted_at else { continue };
            let peer = &scene.peers[id.0];
            // Where there is room again, a heartbeat that found none is no longer owed.
            let is_full = link.room() == 0 && !link.is_finished();
            if let Some(since) = link.short_since.filter(|_| is_full) {
                let deadline = since + limits::WRITE_STALL_DEADLINE + limits::DEADLINE_SLACK;
                assert!(now <= deadline, "connection {} stalls and is not cut", id.0);
            }
            let expires_at = peer.subscription().and_then(Subscription::expires_at);
            if let Some(at) = expires_at.filter(|_| !link.is_finished()) {
                let deadline = at + limits::DEADLINE_SLACK;
                assert!(now <= deadline, "connection {} has expired and stays", id.0);
            }
            if let Some(refused) = link.finished_at {
                let deadline = refused + limits::REFUSED_DEADLINE + limits::DEADLINE_SLACK;
                assert!(now <= deadline, "connection {} is refused and stays", id.0);
            }
            if !link.is_finished() && !peer.is_head_in(link.received) {
                let deadline = accepted + limits::HEAD_DEADLINE + limits::DEADLINE_SLACK;
                assert!(now <= deadline, "connection {} sends no head and is not cut", id.0);
            }
        }
    }

    /// Checks what must hold when nothing was amiss for a while: everyone has what is its due.
    pub(super) fn check_calm(&mut self, scene: &Scene<'_>) {
        for &id in &self.watched {
            let link = scene.network.link(id);
            let peer = &scene.peers[id.0];
            // Whoever had to wait for a descriptor may have got one just now.
            if link.accepted_at.is_none_or(|at| at + SETTLED > scene.network.now) {
                continue;
            }
            assert!(link.peer_end.is_none(), "connection {} has left and is not closed", id.0);
            if link.is_finished() || !peer.is_healthy() || !peer.has_asked() {
                continue;
            }
            match &peer.asks {
                Asks::Subscription(subscription) => {
                    let head = scene.publisher.head();
                    let is_complete =
                        subscription.is_complete(&link.response, head, scene.publisher);
                    assert!(
                        is_complete && link.unread() <= HEARTBEAT_CHUNKED.len(),
                        "connection {} has not had everything below {head}: {subscription:?}, {link:?}",
                        id.0
                    );
                    self.tally.complete += 1;
                }
                Asks::HandOver | Asks::Refusal | Asks::Junk => {
                    panic!("connection {} was not answered: {peer:?}", id.0)
                }
                Asks::Nothing => {}
            }
        }
    }

    /// Checks that nobody waits to be accepted where there has been room for longer than it takes to try
    /// again.
    pub(super) fn check_accepted(&self, scene: &Scene<'_>) {
        let network = scene.network;
        let recently = network.now - limits::ACCEPT_RETRY_MAX - SETTLED;
        for core in 0..self.plan.cores {
            let mut own = network.links().filter(|(_, link)| link.core == core);
            let had_no_room = open_since(network, core, recently) >= self.plan.sockets_max;
            let waits =
                |(_, link): &(LinkId, &Link)| link.accepted_at.is_none() && link.ended.is_none();
            let waiting = own.find(waits).map(|(id, _)| id);
            assert!(waiting.is_none() || had_no_room, "{waiting:?} is not accepted");
        }
    }

    /// Checks a core's tables against what there is.
    pub(super) fn check_tables(&self, core: &Core<Sim>, number: usize, scene: &Scene<'_>) {
        let counters = &core.context.counters;
        let seen = scene.network.open(number).filter(|(_, link)| link.accepted_at.is_some());
        let (mut connections, mut subscribers) = (0, 0);
        for (id, link) in seen {
            connections += 1;
            let subscription = scene.peers[id.0].subscription();
            let subscribes = subscription.is_some_and(|one| one.is_begun()) && !link.is_finished();
            subscribers += u64::from(subscribes);
        }
        assert_eq!(core.connections.len(), connections, "connections in the table and open");
        let ends: u64 = EndReason::ALL.iter().map(|&reason| counters.ends(reason).get()).sum();
        assert_eq!(counters.accepted.get(), connections as u64 + ends, "accepted, open and ended");
        assert_eq!(counters.subscribers.get(), subscribers, "subscribers counted and open");
        if subscribers == 0 {
            assert!(core.groups.is_empty(), "a group without a member");
        }
        let sockets: Vec<_> = core.connections.iter().map(|(socket, _)| socket).collect();
        let owed: u64 = sockets.iter().map(|&socket| core.owed(socket)).sum();
        let Deliveries { offered, written, discarded } = counters.deliveries();
        let settled = written + discarded.iter().sum::<u64>();
        assert_eq!(offered, settled + owed, "messages offered, and written, owed or discarded");
        let links = scene.network.links().filter(|(_, link)| link.core == number);
        let got = links.filter_map(|(id, _)| scene.peers[id.0].subscription());
        assert_eq!(written, got.map(|one| one.messages).sum::<u64>(), "messages written");
        let live: usize = core.groups.iter().map(|group| group.live().len()).sum();
        assert_eq!(live as u64 + counters.lagging.get(), subscribers, "live and lagging");
    }
}

/// Connections of a core that are open, or were so at this time or later.
fn open_since(network: &Network, core: usize, time: Instant) -> usize {
    let own = network.links().filter(|(_, link)| link.core == core && link.accepted_at.is_some());
    own.filter(|(_, link)| link.ended_at.is_none_or(|at| at >= time)).count()
}
