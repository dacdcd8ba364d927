//! The scheduler: picks what happens next, moves the clock, and has everything looked at.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam::queue::ArrayQueue;
use fastrand::Rng;
use tokio::sync::mpsc;

use super::{
    Plan,
    admission::ByPath,
    oracle::{Oracle, SETTLED, Scene, Tally},
    peer::{Asks, Peer},
    publisher::Publisher,
    selection::NAMES,
};
use crate::{
    engine::{
        HandedOver,
        core::{Command, Core, CoreContext, Sleep},
        driver::sim::{Link, LinkId, Network, PeerEnd, Sim},
    },
    limits,
    log::Log,
    provider::LocalProvider,
};

/// Everything there is.
pub(super) struct World {
    plan: Plan,
    rng: Rng,
    network: Rc<RefCell<Network>>,
    provider: LocalProvider,
    publisher: Rc<RefCell<Publisher>>,
    admission: Arc<ByPath>,
    cores: Vec<Seat>,
    /// By the number of their connections.
    peers: Vec<Peer>,
    handed_over: mpsc::Receiver<HandedOver>,
    oracle: Oracle,
    is_calm: bool,
}

/// A core and how it sleeps; none once it has drained.
struct Seat {
    core: Option<Core<Sim>>,
    commands: Arc<ArrayQueue<Command>>,
    wake: Arc<crate::provider::Reader>,
    sleep: Sleep,
    /// When its sleep is over.
    until: Option<Instant>,
}

/// Turns in which a core must come to rest when nothing more happens.
const TURNS_MAX: usize = 20_000;

/// How finely the clock moves while nobody is in a hurry.
const TICK: Duration = Duration::from_millis(50);

/// By then everyone healthy has had everything, when nothing is amiss: the longest is that accepting is
/// tried again.
const CALM: Duration = Duration::from_millis(2500);

/// Whoever is in good health has a window in which all that it is owed soon fits.
const CALM_WINDOW: usize = 256 * 1024;

impl World {
    pub(super) fn new(plan: Plan, network: Rc<RefCell<Network>>, mut rng: Rng) -> Self {
        let log = Log::for_test(plan.log.epoch, plan.log.history_bytes, plan.log.segment_bytes);
        let builder = LocalProvider::builder().replay(plan.log.replay());
        let provider = builder.after_gap(plan.log.after_gap).build_over(log);
        let publisher =
            Publisher::new(provider.clone(), Rc::clone(&network), plan.publishing, rng.fork());
        let (hand_over, handed_over) = mpsc::channel(plan.hand_over_max);
        let mut world = Self {
            rng,
            publisher: Rc::new(RefCell::new(publisher)),
            admission: Arc::new(ByPath::new(provider.clone())),
            cores: Vec::new(),
            peers: Vec::new(),
            handed_over,
            oracle: Oracle::new(plan.clone()),
            is_calm: false,
            plan,
            network,
            provider,
        };
        for number in 0..world.plan.cores {
            world.add_core(number, hand_over.clone());
        }
        world
    }

    fn add_core(&mut self, number: usize, hand_over: mpsc::Sender<HandedOver>) {
        let woken = Arc::new(AtomicBool::new(false));
        let wake = Arc::clone(&woken);
        let wake = Box::new(move || wake.store(true, Ordering::Relaxed));
        let context = CoreContext {
            provider: self.provider.clone(),
            reader: self.provider.register_reader(wake).expect("there is room for a core"),
            admission: Arc::clone(&self.admission) as _,
            hand_over,
            counters: Arc::default(),
            commands: Arc::new(ArrayQueue::new(limits::COMMAND_QUEUE)),
            connections_max: self.plan.connections_max,
            heartbeat: Some(limits::HEARTBEAT_DEFAULT),
        };
        let counters = Arc::clone(&context.counters);
        self.network.borrow_mut().add_core(self.plan.sockets_max, woken, counters);
        let publisher = Rc::clone(&self.publisher);
        let meanwhile = Rc::new(move || publisher.borrow_mut().meanwhile());
        let driver = Sim::new(Rc::clone(&self.network), number, meanwhile);
        self.cores.push(Seat {
            commands: Arc::clone(&context.commands),
            wake: Arc::clone(&context.reader),
            core: Some(Core::new(driver, context)),
            sleep: Sleep(Some(Duration::ZERO)),
            until: Some(self.network.borrow().now),
        });
    }

    /// Everything from the beginning to the end, and what was met.
    pub(super) fn run(mut self) -> Tally {
        for _ in 0..self.plan.checks {
            for _ in 0..self.plan.steps {
                self.step();
            }
            self.calm_down();
        }
        self.let_deadlines_pass();
        self.end();
        let mut tally = self.oracle.tally;
        let network = self.network.borrow();
        tally.virtual_time = network.now - network.start;
        tally.notes = network.trace.notes();
        tally.published = self.publisher.borrow().published.len() as u64;
        tally
    }

    /// Something happens.
    fn step(&mut self) {
        let weights = self.plan.weights;
        let choices = [
            weights.turn,
            weights.peer,
            weights.connect,
            weights.publish,
            weights.moment,
            weights.while_,
            1,
        ];
        let mut left = self.rng.u32(..choices.iter().sum::<u32>());
        let choice = choices.iter().position(|&weight| {
            let is_it = left < weight;
            left = left.saturating_sub(weight);
            is_it
        });
        match choice {
            Some(0) => self.some_turn(),
            Some(1) => self.some_peer(),
            Some(2) => self.connect(),
            Some(3) => self.publisher.borrow_mut().publish(),
            Some(4) => {
                let max = if self.rng.bool() { 5000 } else { 300 };
                let micros = self.rng.u64(..max);
                self.pass(Duration::from_micros(micros));
            }
            Some(5) => self.while_passes(),
            _ => self.rarely(),
        }
    }

    fn rarely(&mut self) {
        match self.rng.u8(0..4) {
            0 if self.plan.has_jumps => {
                let seconds = self.rng.u64(1..120);
                self.pass(Duration::from_secs(seconds));
                self.peers_act();
            }
            1 if self.plan.drains_early => {
                let core = self.rng.usize(..self.plan.cores);
                self.drain(core);
            }
            _ => self.take_handed_over(),
        }
    }

    fn pass(&self, time: Duration) {
        self.network.borrow_mut().now += time;
    }

    /// Seconds pass, in which everyone does what it does.
    fn while_passes(&mut self) {
        for _ in 0..self.rng.usize(1..100) {
            self.tick();
        }
    }

    fn tick(&mut self) {
        self.pass(TICK);
        self.peers_act();
        let mut is_idle = true;
        for core in 0..self.cores.len() {
            is_idle &= self.turns(core);
        }
        if self.is_calm || self.rng.u8(0..4) == 0 {
            self.take_handed_over();
        }
        if is_idle {
            self.with_scene(|oracle, scene| oracle.check_deadlines(scene));
        }
    }

    /// Gives a core turns until it sleeps. False: it does not come to that now.
    fn turns(&mut self, core: usize) -> bool {
        let max = if self.is_calm { TURNS_MAX } else { 64 };
        for _ in 0..max {
            if !self.is_awake(core) {
                return true;
            }
            self.turn(core);
        }
        assert!(!self.is_calm, "core {core} does not come to rest");
        false
    }

    fn is_awake(&self, core: usize) -> bool {
        let seat = &self.cores[core];
        let network = self.network.borrow();
        let is_due = seat.until.is_some_and(|until| until <= network.now);
        seat.core.is_some() && (is_due || network.has_events(core))
    }

    fn some_turn(&mut self) {
        let core = self.rng.usize(..self.cores.len());
        let is_spurious = self.rng.u8(0..50) == 0;
        if self.is_awake(core) || is_spurious && self.cores[core].core.is_some() {
            self.turn(core);
        }
    }

    /// A core wakes, has its turn, and sleeps again.
    fn turn(&mut self, number: usize) {
        let seat = &mut self.cores[number];
        let Some(core) = &mut seat.core else { return };
        core.sleep(seat.sleep).expect("waiting does not fail");
        let now = self.network.borrow().now;
        match core.work(now) {
            Some(sleep) => {
                seat.sleep = sleep;
                seat.until = sleep.0.map(|time| now + time);
            }
            None => {
                assert!(core.groups.is_empty(), "a group is left");
                seat.core = None;
                self.network.borrow_mut().core_is_over(number);
            }
        }
        self.network.borrow_mut().settle(number);
        self.look(number);
    }

    fn look(&mut self, number: usize) {
        let admitted = self.admission.take_admitted();
        self.with_scene(|oracle, scene| oracle.look(scene, &admitted));
        let core = self.cores[number].core.take();
        if let Some(core) = &core {
            self.with_scene(|oracle, scene| oracle.check_tables(core, number, scene));
        }
        self.cores[number].core = core;
    }

    fn with_scene(&mut self, f: impl FnOnce(&mut Oracle, &mut Scene<'_>)) {
        let (network, publisher) = (self.network.borrow(), self.publisher.borrow());
        let tail = self.provider.log().tail();
        assert_eq!(self.provider.log().head(), publisher.head(), "the Log's head");
        let mut scene =
            Scene { network: &network, publisher: &publisher, peers: &mut self.peers, tail };
        f(&mut self.oracle, &mut scene);
    }

    fn connect(&mut self) {
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

    fn last_event_id(&mut self) -> Option<String> {
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

    fn is_open(&self, number: usize) -> bool {
        let network = self.network.borrow();
        let link = network.link(LinkId(number));
        link.ended.is_none() && !link.is_reset()
    }

    fn some_peer(&mut self) {
        let open: Vec<usize> =
            (0..self.peers.len()).filter(|&number| self.is_open(number)).collect();
        if let Some(&number) = self.rng.choice(&open) {
            self.peer_acts(LinkId(number));
        }
    }

    /// Most of them; all when it is calm.
    fn peers_act(&mut self) {
        for number in 0..self.peers.len() {
            if self.is_open(number) && (self.is_calm || self.rng.bool()) {
                self.peer_acts(LinkId(number));
            }
        }
    }

    /// A peer sends, reads or leaves.
    fn peer_acts(&mut self, id: LinkId) {
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

    /// The control runtime takes what it was given.
    fn take_handed_over(&mut self) {
        while let Ok(HandedOver { socket, received }) = self.handed_over.try_recv() {
            let mut network = self.network.borrow_mut();
            let id = network.given_away(&socket);
            let link = network.link(id);
            assert_eq!(received, link.request[..link.received], "bytes are lost in the hand-over");
            assert!(matches!(self.peers[id.0].asks, Asks::HandOver));
        }
    }

    /// Nothing is amiss for a while: then everyone has what is its due.
    fn calm_down(&mut self) {
        let faults = std::mem::take(&mut self.network.borrow_mut().faults);
        self.be_calm(true);
        for part in [SETTLED, CALM - SETTLED] {
            self.pass_in_ticks(part);
            self.with_scene(|oracle, scene| oracle.check_calm(scene));
        }
        self.be_calm(false);
        self.network.borrow_mut().faults = faults;
    }

    fn pass_in_ticks(&mut self, time: Duration) {
        let end = self.network.borrow().now + time;
        while self.network.borrow().now < end {
            self.tick();
        }
    }

    fn be_calm(&mut self, is_calm: bool) {
        self.is_calm = is_calm;
        let mut network = self.network.borrow_mut();
        for (number, peer) in self.peers.iter().enumerate().filter(|(_, peer)| peer.is_healthy()) {
            let window = if is_calm { CALM_WINDOW } else { peer.window };
            network.link_mut(LinkId(number)).window = window;
        }
        drop(network);
        self.publisher.borrow_mut().be_quiet(is_calm);
    }

    /// After all deadlines nobody is left who has missed his, and no timer but those of who is here.
    fn let_deadlines_pass(&mut self) {
        self.network.borrow_mut().faults = Default::default();
        self.be_calm(true);
        self.pass_in_ticks(limits::HEAD_DEADLINE + limits::WRITE_STALL_DEADLINE + TICK);
        self.with_scene(|oracle, scene| oracle.check_calm(scene));
        let network = self.network.borrow();
        for (number, seat) in self.cores.iter().enumerate() {
            let Some(core) = &seat.core else { continue };
            let (timers, max) = (core.timers.len(), timers_max(&network, number));
            assert!(timers <= max, "{timers} timers of core {number}, which has use for {max}");
        }
    }

    fn drain(&mut self, core: usize) {
        let (now, head) = (self.network.borrow().now, self.publisher.borrow().head());
        let seat = &self.cores[core];
        if seat.core.is_some() {
            let _ = seat.commands.push(Command::Drain);
            seat.wake.notify();
            self.oracle.drains(core, now, head);
        }
    }

    /// The cores drain in time, and nothing is left of anybody.
    fn end(&mut self) {
        for core in 0..self.cores.len() {
            self.drain(core);
        }
        self.pass_in_ticks(limits::DRAIN_DEADLINE + TICK);
        let running = self.cores.iter().filter(|seat| seat.core.is_some()).count();
        assert_eq!(running, 0, "cores that do not end");
        let network = self.network.borrow();
        let open = network.links().filter(|(_, link)| link.ended.is_none()).count();
        assert_eq!(open, 0, "connections that did not end");
        drop(network);
        assert_eq!(self.provider.subscriptions(), 0, "subscriptions that did not end");
        for name in NAMES.into_iter().chain(["*", "**", "a/*", "a/**", "*/b", "*/c"]) {
            assert_eq!(self.provider.subscribers(name), 0, "subscribers of {name:?}");
            self.check_nobody_is_woken_for(name);
        }
    }

    fn check_nobody_is_woken_for(&self, name: &str) {
        let topics = self.provider.join(&[name.to_owned()]).expect("there is room");
        for topic in &topics {
            assert_eq!(topic.interest().readers(), 0, "cores are woken for {name:?}");
        }
        self.provider.leave(&topics);
    }
}

/// A connection has one timer, and another when it is refused; they outlive it until they are due.
fn timers_max(network: &Network, core: usize) -> usize {
    let lingers = |link: &Link| {
        link.ended_at.is_none_or(|at| at + limits::HEAD_DEADLINE >= network.now)
            && link.accepted_at.is_some()
    };
    let own = network.links().filter(|(_, link)| link.core == core && lingers(link));
    own.map(|(_, link)| if link.is_finished() { 2 } else { 1 }).sum()
}
