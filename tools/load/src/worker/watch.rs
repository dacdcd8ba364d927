//! What a worker sees of itself: how late its event loop is, what waits unread, what it costs.
//!
//! A tester that is late itself measures itself. Its lag shows in a task that should wake at fixed times;
//! what waits in its sockets shows that it does not keep up.

use std::rc::Rc;

use rustix::time::{ClockId, clock_gettime};

use super::Worker;
use super::crew::Crew;
use super::protocol::{Event, Setup, Standing};
use super::shape::EventShape;
use super::slice::{Slice, Watch};

/// How often a worker looks at itself.
const TICK_NS: u64 = 10_000_000;
/// Sockets that are looked at each time.
const LOOKS_PER_TICK: usize = 4;

/// What is kept between two slices.
#[derive(Debug)]
pub(super) struct Watcher {
    worker: u32,
    slice_ns: u64,
    /// Since when the slice is.
    from_ns: u64,
    cpu_ns: u64,
    /// The socket that is looked at next.
    next: usize,
    told: Standing,
    seen: Watch,
}

/// Looks, now and then, for as long as the worker runs.
pub(super) async fn watch(worker: Rc<Worker>) {
    let clock = worker.setup.clock;
    let mut due_ns = clock.now_ns();
    loop {
        due_ns += TICK_NS;
        worker.sleep_until(due_ns).await;
        if worker.is_over.get() {
            return;
        }
        let now_ns = clock.now_ns();
        worker.watcher.borrow_mut().look(&worker.crew.borrow(), now_ns - due_ns.min(now_ns));
        due_ns = due_ns.max(now_ns - now_ns % TICK_NS);
        worker.tell_standing();
        let is_over = worker.watcher.borrow().is_slice_over(now_ns);
        if is_over {
            worker.send_slice(false);
        }
    }
}

impl Worker {
    /// Tells how the members stand, when that has changed.
    pub(super) fn tell_standing(&self) {
        let standing = self.crew.borrow().standing();
        let mut watcher = self.watcher.borrow_mut();
        if standing != watcher.told {
            watcher.told = standing;
            self.tell(Event::Standing(standing));
        }
    }
}

impl Watcher {
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            worker: setup.worker,
            slice_ns: setup.slice_ns,
            from_ns: setup.clock.now_ns(),
            cpu_ns: cpu_ns(),
            next: 0,
            told: Standing::default(),
            seen: Watch::default(),
        }
    }

    fn look(&mut self, crew: &Crew, lag_ns: u64) {
        // A long lag hides the looks that were due meanwhile: they count as well.
        let _ = self.seen.loop_lag.record_correct(lag_ns / 1_000, TICK_NS / 1_000);
        for _ in 0..LOOKS_PER_TICK.min(crew.len()) {
            self.next = (self.next + 1) % crew.len();
            if let Some(unread) = crew.unread(self.next) {
                self.seen.looks += 1;
                self.seen.backlog_bytes += unread;
                self.seen.backlog_max_bytes = self.seen.backlog_max_bytes.max(unread);
            }
        }
    }

    fn is_slice_over(&self, now_ns: u64) -> bool {
        now_ns / self.slice_ns > self.from_ns / self.slice_ns
    }

    /// Ends the slice.
    pub(super) fn slice(&mut self, crew: &mut Crew, shapes: Vec<EventShape>, now_ns: u64) -> Slice {
        let (from_ns, cpu_before) = (self.from_ns, self.cpu_ns);
        (self.from_ns, self.cpu_ns) = (now_ns, cpu_ns());
        let mut watch = std::mem::take(&mut self.seen);
        watch.cpu_ns = self.cpu_ns - cpu_before;
        Slice {
            worker: self.worker,
            from_ns,
            to_ns: now_ns,
            up: crew.standing().up,
            tally: crew.take_tally(),
            watch,
            shapes,
        }
    }
}

/// CPU time of this process.
fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
