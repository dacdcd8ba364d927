//! The cores: when each wakes, has its turn and sleeps again, as its thread would.

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};

use super::World;
use crate::{
    engine::{
        Asked, HandedOver,
        commands::Commands,
        core::{Command, Core, CoreContext, Sleep},
        driver::sim::Sim,
        inspect::Inquiry,
        tuning::SharedTuning,
    },
    limits,
    provider::Reader,
};

/// A core and how it sleeps; none once it has drained.
pub(super) struct Seat {
    pub(super) core: Option<Core<Sim>>,
    commands: Arc<Commands>,
    pub(super) asked: mpsc::Receiver<Asked>,
    wake: Arc<Reader>,
    sleep: Sleep,
    /// When its sleep is over.
    until: Option<Instant>,
}

/// Turns in which a core must come to rest when nothing more happens.
const TURNS_MAX: usize = 20_000;

impl World {
    pub(super) fn add_core(&mut self, number: usize, hand_over: mpsc::Sender<HandedOver>) {
        let woken = Arc::new(AtomicBool::new(false));
        let wake = Arc::clone(&woken);
        let wake = Box::new(move || wake.store(true, Ordering::Relaxed));
        let (questions, asked) = mpsc::channel(limits::QUESTION_QUEUE);
        let context = CoreContext {
            number: number as u32,
            provider: self.provider.clone(),
            reader: self.provider.register_reader(wake).expect("there is room for a core"),
            admission: Arc::clone(&self.admission) as _,
            hand_over,
            questions,
            counters: Arc::default(),
            commands: Arc::default(),
            connections_max: self.plan.connections_max,
            age_max: None,
            tuning: SharedTuning::default(),
        };
        let counters = Arc::clone(&context.counters);
        self.network.borrow_mut().add_core(self.plan.sockets_max, woken, counters);
        let publisher = Rc::clone(&self.publisher);
        let meanwhile = Rc::new(move || publisher.borrow_mut().meanwhile());
        let driver = Sim::new(Rc::clone(&self.network), number, meanwhile);
        self.cores.push(Seat {
            commands: Arc::clone(&context.commands),
            asked,
            wake: Arc::clone(&context.reader),
            core: Some(Core::new(driver, context)),
            sleep: Sleep(Some(Duration::ZERO)),
            until: Some(self.network.borrow().now),
        });
    }

    /// Gives a core turns until it sleeps. False: it does not come to that now.
    pub(super) fn turns(&mut self, core: usize) -> bool {
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

    pub(super) fn is_awake(&self, core: usize) -> bool {
        let seat = &self.cores[core];
        let network = self.network.borrow();
        let is_due = seat.until.is_some_and(|until| until <= network.now);
        seat.core.is_some() && (is_due || network.has_events(core))
    }

    /// Whether it is awake, or rests between two passes.
    pub(super) fn wakes_soon(&self, core: usize) -> bool {
        let rested = self.network.borrow().now + limits::REST_MAX;
        self.is_awake(core) || self.cores[core].until.is_some_and(|until| until <= rested)
    }

    pub(super) fn some_turn(&mut self) {
        let core = self.rng.usize(..self.cores.len());
        let is_spurious = self.rng.u8(0..50) == 0;
        if self.is_awake(core) || is_spurious && self.cores[core].core.is_some() {
            self.turn(core);
        }
    }

    /// A core wakes, has its turn, and sleeps again.
    pub(super) fn turn(&mut self, number: usize) {
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

    pub(super) fn look(&mut self, number: usize) {
        let admitted = self.admission.take_admitted();
        self.with_scene(|oracle, scene| oracle.look(scene, &admitted));
        let core = self.cores[number].core.take();
        if let Some(core) = &core {
            self.with_scene(|oracle, scene| oracle.check_tables(core, number, scene));
        }
        self.cores[number].core = core;
    }

    /// An operator looks at a core's connections, and closes one.
    pub(super) fn operator_acts(&mut self, core: usize) {
        let (reply, mut page) = oneshot::channel();
        if !self.inquire(core, Inquiry::Page { from_slot: 0, reply }) {
            return;
        }
        let page = page.try_recv().expect("a turn answers");
        assert_eq!(page.next_slot, None, "there are few");
        if page.connections.is_empty() {
            return;
        }
        let nth = self.rng.usize(..page.connections.len());
        let socket = page.connections[nth].id.socket;
        let (reply, mut is_closed) = oneshot::channel();
        self.oracle.operator_closes(core);
        if self.inquire(core, Inquiry::Close { socket, reply }) {
            // What ended it before its turn came did so in that turn too.
            let is_closed = is_closed.try_recv().expect("a turn answers");
            assert_eq!(self.oracle.is_closed_by_operator(), is_closed);
        } else {
            self.oracle.is_closed_by_operator();
        }
    }

    /// Asks a core, whose turn it is then. False: it has ended, or has too much to do.
    fn inquire(&mut self, core: usize, inquiry: Inquiry) -> bool {
        let seat = &self.cores[core];
        if seat.core.is_none() || !seat.commands.push(Command::Inquire(inquiry)) {
            return false;
        }
        seat.wake.notify();
        self.turn(core);
        true
    }

    pub(super) fn drain(&mut self, core: usize) {
        let (now, head) = (self.network.borrow().now, self.publisher.borrow().head());
        let seat = &self.cores[core];
        if seat.core.is_some() {
            let over = Duration::from_millis(self.plan.drain_millis);
            seat.commands.push(Command::Drain { over });
            seat.wake.notify();
            self.oracle.drains(core, now, head);
        }
    }
}
