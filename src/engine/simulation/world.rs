//! The scheduler: picks what happens next, moves the clock, and has everything looked at.

mod calm;
mod cores;
mod crowd;

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use fastrand::Rng;
use tokio::sync::mpsc;

use self::cores::Seat;
use super::{
    Plan,
    admission::ByPath,
    oracle::{Oracle, Scene, Tally},
    peer::Peer,
    publisher::Publisher,
};
use crate::{
    engine::{HandedOver, driver::sim::Network},
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

/// How finely the clock moves while nobody is in a hurry.
const TICK: Duration = Duration::from_millis(50);

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

    /// Everything from the beginning to the end, and what was met.
    pub(super) fn run(mut self) -> Tally {
        for _ in 0..self.plan.checks {
            self.steps();
            self.calm_down();
        }
        if self.plan.ends_abruptly {
            self.steps();
        } else {
            self.let_deadlines_pass();
        }
        self.end();
        let mut tally = self.oracle.tally;
        let network = self.network.borrow();
        tally.virtual_time = network.now - network.start;
        tally.notes = network.trace.notes();
        tally.published = self.publisher.borrow().published.len() as u64;
        tally
    }

    fn steps(&mut self) {
        for _ in 0..self.plan.steps {
            self.step();
        }
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
        match self.rng.u8(0..5) {
            0 if self.plan.has_jumps => {
                let seconds = self.rng.u64(1..120);
                self.pass(Duration::from_secs(seconds));
                self.peers_act();
            }
            1 if self.plan.drains_early => {
                let core = self.rng.usize(..self.plan.cores);
                self.drain(core);
            }
            2 if self.plan.has_operator => {
                let core = self.rng.usize(..self.plan.cores);
                self.operator_acts(core);
            }
            _ => self.control_acts(),
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
            self.control_acts();
        }
        if is_idle {
            self.with_scene(|oracle, scene| oracle.check_deadlines(scene));
            self.check_timers();
        }
    }

    fn with_scene(&mut self, f: impl FnOnce(&mut Oracle, &mut Scene<'_>)) {
        let (network, publisher) = (self.network.borrow(), self.publisher.borrow());
        let tail = self.provider.log().tail();
        assert_eq!(self.provider.log().head(), publisher.head(), "the Log's head");
        let mut scene =
            Scene { network: &network, publisher: &publisher, peers: &mut self.peers, tail };
        f(&mut self.oracle, &mut scene);
    }
}
