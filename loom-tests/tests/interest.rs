//! `Interest` with `Signal`: subscribing against publishing. A frame that is lost shows as a deadlock.
#![cfg(fanfare_loom)]

use fanfare::log::{
    interest::{Interest, ReaderId},
    signal::Signal,
};
use loom::{
    sync::{
        Arc, Notify,
        atomic::{AtomicUsize, Ordering, fence},
    },
    thread,
};

/// A topic, its Log's head, and two readers that may park.
struct Shared {
    head: AtomicUsize,
    interest: Interest,
    readers: [Reader; 2],
}

#[derive(Default)]
struct Reader {
    signal: Signal,
    wake: Notify,
}

impl Shared {
    fn new() -> Arc<Self> {
        let readers = [(); 2].map(|()| Reader { signal: Signal::new(), wake: Notify::new() });
        Arc::new(Self { head: AtomicUsize::new(0), interest: Interest::new(), readers })
    }

    /// As `LocalProvider::publish`: the head, a fence, and a look at the interest.
    fn publish(&self) {
        self.head.fetch_add(1, Ordering::Release);
        fence(Ordering::SeqCst);
        let interested = self.interest.readers();
        for (number, reader) in self.readers.iter().enumerate() {
            if interested & 1 << number != 0 && reader.signal.notify() {
                reader.wake.notify();
            }
        }
    }

    /// As a core that subscribes: its interest, then its start.
    fn subscribe(&self, number: usize) -> usize {
        self.interest.add_reader(id(number));
        self.head.load(Ordering::Acquire)
    }

    /// Works as a core does until the head is at `end`: what is published after its start wakes it.
    fn read_from(&self, number: usize, start: usize, end: usize) {
        let Reader { signal, wake } = &self.readers[number];
        let mut position = start;
        while position < end {
            if signal.take() {
                position = self.head.load(Ordering::Acquire);
            } else if signal.park() {
                wake.wait();
                signal.unpark();
            }
        }
    }
}

fn id(number: usize) -> ReaderId {
    ReaderId::new(number).expect("there are so many")
}

#[test]
fn a_frame_is_before_the_start_or_wakes_the_subscriber() {
    loom::model(|| {
        let shared = Shared::new();
        let publisher = Arc::clone(&shared);
        let publisher = thread::spawn(move || publisher.publish());
        let start = shared.subscribe(0);
        shared.read_from(0, start, 1);
        publisher.join().unwrap();
    });
}

#[test]
fn whoever_comes_after_the_last_one_left_misses_nothing() {
    loom::model(|| {
        let shared = Shared::new();
        let publisher = Arc::clone(&shared);
        let publisher = thread::spawn(move || publisher.publish());
        shared.subscribe(0);
        shared.interest.remove_reader(id(0));
        let start = shared.subscribe(0);
        shared.read_from(0, start, 1);
        publisher.join().unwrap();
    });
}

/// Three threads: all orders with up to two forced switches, which is where such races show.
#[test]
fn two_readers_are_woken_each_for_itself() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let shared = Shared::new();
        let publisher = Arc::clone(&shared);
        let publisher = thread::spawn(move || publisher.publish());
        let other = Arc::clone(&shared);
        let other = thread::spawn(move || {
            let start = other.subscribe(1);
            other.read_from(1, start, 1);
            // It leaves, and takes only its own interest along.
            other.interest.remove_reader(id(1));
        });
        let start = shared.subscribe(0);
        shared.read_from(0, start, 1);
        publisher.join().unwrap();
        other.join().unwrap();
        assert_eq!(shared.interest.readers(), 1);
    });
}
