//! What must hold when nothing is amiss for a while, and at the end.

use std::time::Duration;

use super::{TICK, World};
use crate::{
    engine::{
        driver::sim::{Link, LinkId, Network},
        simulation::{oracle::SETTLED, selection},
    },
    limits,
};

/// By then everyone healthy has had everything, when nothing is amiss: the longest is that accepting is
/// tried again.
const CALM: Duration = Duration::from_millis(2500);

/// Whoever is in good health has a window in which all that it is owed fits.
const CALM_WINDOW: usize = 64 * 1024 * 1024;

impl World {
    /// Nothing is amiss for a while: then everyone has what is its due.
    pub(super) fn calm_down(&mut self) {
        let faults = std::mem::take(&mut self.network.borrow_mut().faults);
        self.be_calm(true);
        for part in [SETTLED, CALM - SETTLED] {
            self.pass_in_ticks(part);
            self.with_scene(|oracle, scene| oracle.check_calm(scene));
        }
        self.with_scene(|oracle, scene| oracle.check_accepted(scene));
        self.be_calm(false);
        self.network.borrow_mut().faults = faults;
    }

    pub(super) fn pass_in_ticks(&mut self, time: Duration) {
        let end = self.network.borrow().now + time;
        while self.network.borrow().now < end {
            self.tick();
        }
    }

    pub(super) fn be_calm(&mut self, is_calm: bool) {
        self.is_calm = is_calm;
        let mut network = self.network.borrow_mut();
        for (number, peer) in self.peers.iter().enumerate().filter(|(_, peer)| peer.is_healthy()) {
            let window = if is_calm { CALM_WINDOW } else { peer.window };
            network.link_mut(LinkId(number)).window = window;
        }
        drop(network);
        self.publisher.borrow_mut().be_quiet(is_calm);
    }

    /// After all deadlines nobody is left who has missed his.
    pub(super) fn let_deadlines_pass(&mut self) {
        self.network.borrow_mut().faults = Default::default();
        self.be_calm(true);
        self.pass_in_ticks(limits::HEAD_DEADLINE + limits::WRITE_STALL_DEADLINE + TICK);
        self.with_scene(|oracle, scene| oracle.check_calm(scene));
    }

    /// No core has more timers than it has use for.
    pub(super) fn check_timers(&self) {
        let network = self.network.borrow();
        for (number, seat) in self.cores.iter().enumerate() {
            let Some(core) = &seat.core else { continue };
            let (timers, max) = (core.timers.len(), timers_max(&network, number));
            assert!(timers <= max, "{timers} timers of core {number}, which has use for {max}");
        }
    }

    /// The cores drain in time, and nothing is left of anybody.
    pub(super) fn end(&mut self) {
        for core in 0..self.cores.len() {
            self.drain(core);
        }
        let over = Duration::from_millis(self.plan.drain_millis);
        self.pass_in_ticks(over + limits::DRAIN_DEADLINE + SETTLED);
        let running = self.cores.iter().filter(|seat| seat.core.is_some()).count();
        assert_eq!(running, 0, "cores that do not end");
        let network = self.network.borrow();
        let open = network.links().filter(|(_, link)| link.ended.is_none()).count();
        assert_eq!(open, 0, "connections that did not end");
        drop(network);
        assert_eq!(self.provider.subscriptions(), 0, "subscriptions that did not end");
        let retained = self.publisher.borrow().topics_from(self.provider.log().tail());
        assert_eq!(self.provider.topics(), retained, "topics in the table and retained");
        for name in selection::all() {
            assert_eq!(self.provider.subscribers(name), 0, "subscribers of {name:?}");
            self.check_nobody_is_woken_for(name);
        }
    }

    pub(super) fn check_nobody_is_woken_for(&self, name: &str) {
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
        link.ended_at
            .is_none_or(|at| at + limits::HEAD_DEADLINE + limits::DEADLINE_SLACK >= network.now)
            && link.accepted_at.is_some()
    };
    let own = network.links().filter(|(_, link)| link.core == core && lingers(link));
    own.map(|(_, link)| if link.is_finished() { 2 } else { 1 }).sum()
}
