//! Every connection there was, and what the kernel of each core knows of its own.

use std::{
    collections::VecDeque,
    fs::File,
    io,
    os::fd::{AsRawFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use fastrand::Rng;
use rustix::io::Errno;

use super::{Ended, Faults, Link, LinkId, Note, Trace};
use crate::engine::{
    connection::EndReason,
    counters::CoreCounters,
    driver::{Event, Received, Sent, Socket, Watch},
};

/// All sockets, at both ends.
#[derive(Debug)]
pub(in crate::engine) struct Network {
    pub(in crate::engine) start: Instant,
    pub(in crate::engine) now: Instant,
    pub(in crate::engine) faults: Faults,
    pub(in crate::engine) trace: Trace,
    rng: Rng,
    links: Vec<Link>,
    hosts: Vec<Host>,
    /// What cores have given away and nobody has taken up, by descriptor.
    pub(super) taken: Vec<(i32, LinkId)>,
    /// Stands for any socket where an ordinary descriptor is asked for.
    descriptor: File,
}

/// What the kernel knows of one core.
#[derive(Debug)]
struct Host {
    is_listening: bool,
    is_accepting: bool,
    backlog: VecDeque<LinkId>,
    slots: Vec<Slot>,
    sockets_max: usize,
    /// What an eventfd would hold.
    woken: Arc<AtomicBool>,
    counters: Arc<CoreCounters>,
    /// Ends by reason that are accounted for.
    ends: [u64; EndReason::ALL.len()],
    given_away: u64,
    /// Events of sockets that are closed by now.
    stale: Vec<(Socket, Watch)>,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    link: Option<LinkId>,
    armed: [bool; WATCHES.len()],
}

const WATCHES: [Watch; 3] = [Watch::Readable, Watch::Writable, Watch::Leave];

/// Connections accepted by one wait.
const ACCEPTS_PER_WAIT: usize = 3;

impl Network {
    pub(in crate::engine) fn new(start: Instant, rng: Rng, faults: Faults) -> Self {
        Self {
            start,
            now: start,
            faults,
            trace: Trace::default(),
            rng,
            links: Vec::new(),
            hosts: Vec::new(),
            taken: Vec::new(),
            descriptor: File::open("/dev/null").expect("it is everywhere"),
        }
    }

    /// The sockets of one more core.
    pub(in crate::engine) fn add_core(
        &mut self,
        sockets_max: usize,
        woken: Arc<AtomicBool>,
        counters: Arc<CoreCounters>,
    ) {
        self.hosts.push(Host {
            is_listening: true,
            is_accepting: false,
            backlog: VecDeque::new(),
            slots: Vec::new(),
            sockets_max,
            woken,
            counters,
            ends: [0; EndReason::ALL.len()],
            given_away: 0,
            stale: Vec::new(),
        });
    }

    pub(in crate::engine) fn link(&self, id: LinkId) -> &Link {
        &self.links[id.0]
    }

    pub(in crate::engine) fn link_mut(&mut self, id: LinkId) -> &mut Link {
        &mut self.links[id.0]
    }

    pub(in crate::engine) fn links(&self) -> impl Iterator<Item = (LinkId, &Link)> {
        self.links.iter().enumerate().map(|(id, link)| (LinkId(id), link))
    }

    /// A peer connects. None: nobody listens.
    pub(in crate::engine) fn connect(&mut self, core: usize, window: usize) -> Option<LinkId> {
        if !self.hosts[core].is_listening {
            return None;
        }
        let id = LinkId(self.links.len());
        self.links.push(Link::new(core, window, self.now));
        self.hosts[core].backlog.push_back(id);
        self.note("a peer connects, whose window is", core, id.0, window as u64);
        Some(id)
    }

    /// Whether a wait of this core would end.
    pub(in crate::engine) fn has_events(&self, core: usize) -> bool {
        let host = &self.hosts[core];
        host.woken.load(Ordering::Relaxed)
            || host.is_accepting && !host.backlog.is_empty()
            || !host.stale.is_empty()
            || host.slots.iter().any(|slot| WATCHES.iter().any(|&watch| self.fires(slot, watch)))
    }

    /// Sockets in use of a core, whether it has looked at them or not.
    pub(in crate::engine) fn open(&self, core: usize) -> impl Iterator<Item = (LinkId, &Link)> {
        let slots = self.hosts[core].slots.iter();
        slots.filter_map(|slot| slot.link).map(|id| (id, self.link(id)))
    }

    /// A core is over: what it never looked at goes with it, and there may be nothing else.
    pub(in crate::engine) fn core_is_over(&mut self, core: usize) {
        self.settle(core);
        let host = &mut self.hosts[core];
        assert!(!host.is_listening, "a core is over and still listens");
        let open = host.slots.iter_mut().filter_map(|slot| slot.link.take());
        let left: Vec<LinkId> = open.collect();
        for &id in &left {
            let was_seen = self.link(id).accepted_at.is_some();
            assert!(!was_seen, "a core is over and has not closed connection {}", id.0);
            self.link_mut(id).ended = Some(Ended::NeverAccepted);
        }
        self.note("is over", core, 0, 0);
    }

    /// Accounts for sockets that were given away; the core counts them when it has them.
    pub(in crate::engine) fn settle(&mut self, core: usize) {
        let host = &mut self.hosts[core];
        for reason in [EndReason::HandedOver, EndReason::NotHandedOver] {
            let count = host.counters.ends(reason).get();
            let new = count - host.ends[reason.index()];
            host.given_away = host.given_away.checked_sub(new).expect("each was taken before");
            host.ends[reason.index()] = count;
        }
        assert_eq!(host.given_away, 0, "a socket was taken and no reason is counted");
    }

    /// What is told is the core's doing, or nobody's.
    pub(in crate::engine) fn note(
        &mut self,
        what: &'static str,
        core: impl Into<Option<usize>>,
        whose: usize,
        number: u64,
    ) {
        let (at, core) = (self.now - self.start, core.into());
        self.trace.note(Note { at, what, core, whose, number });
    }

    pub(super) fn send(&mut self, core: usize, socket: Socket, bytes: &[u8]) -> Sent {
        let id = self.socket(core, socket, "send");
        assert!(!bytes.is_empty(), "a send of nothing");
        let now = self.now;
        let mut count = bytes.len().min(self.links[id.0].room());
        if self.chance(self.faults.no_room) {
            count = 0;
        } else if self.chance(self.faults.partial) {
            count = self.rng.usize(0..=count);
        }
        let link = &mut self.links[id.0];
        assert!(!link.is_finished(), "a send after the end of the sending side");
        if link.is_reset() {
            self.note("send is broken", core, id.0, 0);
            return Sent::Broken;
        }
        link.take(bytes, count, now);
        self.trace.bytes(&bytes[..count]);
        self.note(
            if count == bytes.len() { "sends all" } else { "sends" },
            core,
            id.0,
            count as u64,
        );
        Sent::Bytes(count)
    }

    pub(super) fn receive(&mut self, core: usize, socket: Socket, buffer: &mut [u8]) -> Received {
        let id = self.socket(core, socket, "receive");
        let is_short = self.chance(self.faults.short_receive);
        let (now, link) = (self.now, &mut self.links[id.0]);
        link.accepted_at.get_or_insert(now);
        let waiting = link.to_receive();
        if waiting.is_empty() {
            return if link.peer_end.is_some() { Received::Ended } else { Received::Nothing };
        }
        let mut count = waiting.len().min(buffer.len());
        if is_short {
            count = self.rng.usize(0..=count);
        }
        if count == 0 {
            return Received::Nothing;
        }
        buffer[..count].copy_from_slice(&waiting[..count]);
        link.received += count;
        self.note("receives", core, id.0, count as u64);
        Received::Bytes(count)
    }

    pub(super) fn watch(&mut self, core: usize, socket: Socket, watch: Watch) {
        let id = self.socket(core, socket, "watch");
        let armed = &mut self.hosts[core].slots[socket.slot as usize].armed[watch as usize];
        assert!(!*armed, "a watch that is armed is armed again: {watch:?} of connection {}", id.0);
        *armed = true;
        self.note("watches", core, id.0, watch as u64);
    }

    pub(super) fn finish(&mut self, core: usize, socket: Socket) {
        let id = self.socket(core, socket, "finish");
        self.link_mut(id).finished_at = Some(self.now);
        self.note("finishes", core, id.0, 0);
    }

    pub(super) fn close(&mut self, core: usize, socket: Socket) {
        let id = self.release(core, socket, "close");
        self.settle(core);
        let host = &mut self.hosts[core];
        let is_new =
            |reason: &EndReason| host.counters.ends(*reason).get() > host.ends[reason.index()];
        let mut reasons = EndReason::ALL.into_iter().filter(is_new);
        let reason = reasons.next().expect("a connection is closed and no reason is counted");
        assert_eq!(reasons.next(), None, "a connection ends for {reason:?} and something else");
        host.ends[reason.index()] += 1;
        assert_eq!(host.counters.ends(reason).get(), host.ends[reason.index()], "counted twice");
        self.link_mut(id).ended = Some(Ended::Closed(reason));
        self.note(reason.name(), core, id.0, 0);
    }

    pub(super) fn take(&mut self, core: usize, socket: Socket) -> io::Result<OwnedFd> {
        let id = self.release(core, socket, "take");
        self.hosts[core].given_away += 1;
        self.link_mut(id).ended = Some(Ended::GivenAway);
        if self.chance(self.faults.not_taken) {
            self.note("cannot be taken", core, id.0, 0);
            self.link_mut(id).ended = Some(Ended::NotGivenAway);
            return Err(Errno::MFILE.into());
        }
        self.note("is taken", core, id.0, 0);
        let descriptor = OwnedFd::from(self.descriptor.try_clone()?);
        self.taken.push((descriptor.as_raw_fd(), id));
        Ok(descriptor)
    }

    pub(super) fn accept(&mut self, core: usize) {
        let host = &mut self.hosts[core];
        assert!(!host.is_accepting, "a core that accepts is told to accept");
        host.is_accepting = host.is_listening;
    }

    pub(super) fn stop_accepting(&mut self, core: usize) {
        let host = &mut self.hosts[core];
        (host.is_listening, host.is_accepting) = (false, false);
        for id in std::mem::take(&mut host.backlog) {
            self.links[id.0].ended = Some(Ended::NeverAccepted);
        }
        self.note("stops listening", core, 0, 0);
    }

    pub(super) fn wait(&mut self, core: usize, events: &mut VecDeque<Event>) {
        self.hosts[core].woken.store(false, Ordering::Relaxed);
        let mut happened = Vec::new();
        self.accept_some(core, &mut happened);
        for slot in 0..self.hosts[core].slots.len() {
            self.fire(core, slot, &mut happened);
        }
        for (socket, watch) in std::mem::take(&mut self.hosts[core].stale) {
            happened.push(Event::Ready(socket, watch));
        }
        self.rng.shuffle(&mut happened);
        for event in &happened {
            let (what, slot, number) = match event {
                Event::Accepted(socket) => ("accepts into slot", socket.slot, socket.generation),
                Event::Ready(socket, watch) => ("is told of slot", socket.slot, *watch as u32),
                Event::AcceptFailed(_) => ("cannot accept", 0, 0),
            };
            self.note(what, core, slot as usize, number.into());
        }
        events.extend(happened);
    }

    fn accept_some(&mut self, core: usize, happened: &mut Vec<Event>) {
        for _ in 0..ACCEPTS_PER_WAIT {
            let fails = self.chance(self.faults.no_descriptor);
            let host = &mut self.hosts[core];
            if !host.is_accepting || host.backlog.is_empty() {
                return;
            }
            let vacant = host.slots.iter().position(|slot| slot.link.is_none());
            let slot = vacant.unwrap_or(host.slots.len());
            if fails || slot >= host.sockets_max {
                host.is_accepting = false;
                return happened.push(Event::AcceptFailed(Errno::MFILE.into()));
            }
            if slot == host.slots.len() {
                host.slots.push(Slot::default());
            }
            let entry = &mut host.slots[slot];
            entry.generation += 1;
            entry.link = host.backlog.pop_front();
            let (slot, generation) = (slot as u32, entry.generation);
            happened.push(Event::Accepted(Socket { slot, generation }));
        }
    }

    fn fire(&mut self, core: usize, slot: usize, happened: &mut Vec<Event>) {
        if let Some(id) = self.hosts[core].slots[slot].link
            && self.links[id.0].room() == 0
        {
            self.links[id.0].no_room_at = Some(self.now);
        }
        for watch in WATCHES {
            let fires = self.fires(&self.hosts[core].slots[slot], watch);
            if fires && !self.chance(self.faults.late) {
                let entry = &mut self.hosts[core].slots[slot];
                entry.armed[watch as usize] = false;
                let socket = Socket { slot: slot as u32, generation: entry.generation };
                happened.push(Event::Ready(socket, watch));
            }
        }
    }

    fn fires(&self, slot: &Slot, watch: Watch) -> bool {
        let Some(id) = slot.link.filter(|_| slot.armed[watch as usize]) else { return false };
        let link = self.link(id);
        match watch {
            Watch::Readable => !link.to_receive().is_empty() || link.peer_end.is_some(),
            Watch::Writable => link.room() > 0 || link.is_reset(),
            Watch::Leave => link.peer_end.is_some(),
        }
    }

    fn socket(&self, core: usize, socket: Socket, call: &str) -> LinkId {
        let slot = self.hosts[core].slots.get(socket.slot as usize);
        let slot = slot.filter(|slot| slot.generation == socket.generation);
        let open = slot.and_then(|slot| slot.link);
        open.unwrap_or_else(|| panic!("{call} of {socket:?}, which is closed"))
    }

    fn release(&mut self, core: usize, socket: Socket, call: &str) -> LinkId {
        let id = self.socket(core, socket, call);
        let is_stale = self.chance(self.faults.stale);
        let host = &mut self.hosts[core];
        let slot = &mut host.slots[socket.slot as usize];
        slot.link = None;
        let armed = std::mem::take(&mut slot.armed);
        if is_stale {
            let armed = WATCHES.iter().filter(|&&watch| armed[watch as usize]);
            host.stale.extend(armed.map(|&watch| (socket, watch)));
        }
        self.links[id.0].ended_at = Some(self.now);
        id
    }

    fn chance(&mut self, percent: u8) -> bool {
        percent > 0 && self.rng.u8(0..100) < percent
    }
}
