//! `Signal`: publishers and a reader that parks. A wake that is lost shows as a deadlock.
#![cfg(fanfare_loom)]

use fanfare::log::signal::Signal;
use loom::{
    sync::{
        Arc, Notify,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// What a core and its publishers share; the notify stands for the eventfd, which remembers a wake.
struct Shared {
    head: AtomicUsize,
    signal: Signal,
    wake: Notify,
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self { head: AtomicUsize::new(0), signal: Signal::new(), wake: Notify::new() })
    }

    fn publish(&self) {
        self.head.fetch_add(1, Ordering::Release);
        if self.signal.notify() {
            self.wake.notify();
        }
    }

    /// Reads as a core does, until it has seen `count` frames.
    fn read_until(&self, count: usize) {
        loop {
            if self.signal.take() && self.head.load(Ordering::Acquire) == count {
                return;
            }
            if self.signal.park() {
                self.wake.wait();
                self.signal.unpark();
            }
        }
    }
}

#[test]
fn a_core_never_sleeps_through_a_frame() {
    loom::model(|| {
        let shared = Shared::new();
        let publisher = Arc::clone(&shared);
        let publisher = thread::spawn(move || publisher.publish());
        shared.read_until(1);
        publisher.join().unwrap();
    });
}

#[test]
fn a_core_never_sleeps_through_the_second_of_two_frames() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let shared = Shared::new();
        let publisher = Arc::clone(&shared);
        let publisher = thread::spawn(move || {
            publisher.publish();
            publisher.publish();
        });
        shared.read_until(2);
        publisher.join().unwrap();
    });
}

#[test]
fn two_publishers_wake_a_core_for_both_their_frames() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let shared = Shared::new();
        let publishers = [(); 2].map(|()| {
            let publisher = Arc::clone(&shared);
            thread::spawn(move || publisher.publish())
        });
        shared.read_until(2);
        for publisher in publishers {
            publisher.join().unwrap();
        }
    });
}
