//! `Window` and `Index`: one appender that publishes and retires, readers that look things up.
#![cfg(fanfare_loom)]

use fanfare::log::{
    Sequence,
    append_only::{AppendOnly, Appender},
    index::Index,
    window::{Stretch, Window},
};
use loom::{
    sync::{Arc, Mutex},
    thread,
};

/// A segment of the Log whose frames are their own sequences.
#[derive(Clone)]
struct Frames {
    first: Sequence,
    numbers: Arc<AppendOnly<u64>>,
}

impl Stretch for Frames {
    fn first(&self) -> Sequence {
        self.first
    }
}

/// What the append lock protects, and what readers share.
struct Log {
    window: Window<Frames>,
    index: Mutex<Index>,
}

struct Writer {
    log: Arc<Log>,
    numbers: Appender<u64>,
    next: u64,
}

fn at(number: u64) -> Sequence {
    Sequence::new(number)
}

impl Writer {
    fn new() -> Self {
        let numbers = Appender::new(2);
        let stretch = Frames { first: at(1), numbers: Arc::clone(numbers.shared()) };
        let log = Log { window: Window::new(stretch), index: Mutex::new(Index::new(at(1))) };
        Self { log: Arc::new(log), numbers, next: 1 }
    }

    /// As `Append::append`: in the index and in the stretch before the head moves.
    fn append(&mut self) {
        self.log.index.lock().unwrap().append(at(self.next));
        self.numbers.push(self.next);
        self.next += 1;
    }

    /// As `Append::publish`.
    fn publish(&mut self) {
        self.numbers.publish();
        self.log.window.publish(at(self.next));
    }

    /// As `Append::start_segment` with a history of one segment.
    fn start_stretch(&mut self) -> bool {
        self.numbers.publish();
        self.numbers = Appender::new(2);
        let numbers = Arc::clone(self.numbers.shared());
        self.log.window.push(Frames { first: at(self.next), numbers });
        let Some(oldest) = self.log.window.take_oldest() else { return false };
        let end = oldest.first().plus(oldest.numbers.len());
        self.log.index.lock().unwrap().retire_below(end);
        true
    }
}

impl Log {
    /// The frame with this sequence; none only if the tail has passed it.
    fn frame(&self, sequence: Sequence) -> Option<u64> {
        let found = self.window.find(sequence);
        if found.is_none() {
            assert!(self.window.tail() > sequence, "{sequence} is missed and nobody says so");
        }
        let stretch = found?;
        let index = sequence.since(stretch.first()).expect("found by its beginning");
        let number = stretch.numbers.get(index).expect("every frame below the head is there");
        assert_eq!(*number, sequence.number());
        Some(*number)
    }
}

#[test]
fn a_frame_below_the_head_is_there_or_the_tail_has_passed_it() {
    loom::model(|| {
        let mut writer = Writer::new();
        let log = Arc::clone(&writer.log);
        let reader = thread::spawn(move || {
            let head = log.window.head();
            for number in 1..head.number() {
                log.frame(at(number));
            }
            assert!(log.window.head() >= head && log.window.tail() <= log.window.head());
        });
        writer.append();
        writer.publish();
        assert!(writer.start_stretch(), "the first stretch is published whole");
        writer.append();
        writer.publish();
        reader.join().unwrap();
    });
}

#[test]
fn a_stretch_with_unpublished_frames_is_not_retired() {
    loom::model(|| {
        let mut writer = Writer::new();
        let log = Arc::clone(&writer.log);
        let reader = thread::spawn(move || {
            for number in 1..log.window.head().number() {
                log.frame(at(number));
            }
        });
        // A batch that goes over the end of its segment.
        writer.append();
        assert!(!writer.start_stretch(), "its frame is not published");
        writer.append();
        writer.publish();
        assert!(writer.start_stretch());
        reader.join().unwrap();
    });
}

#[test]
fn what_a_reader_has_found_outlives_its_retirement() {
    loom::model(|| {
        let mut writer = Writer::new();
        writer.append();
        writer.publish();
        let found = writer.log.window.find(at(1)).expect("it is the first");
        let reader = thread::spawn(move || assert_eq!(found.numbers.get(0), Some(&1)));
        assert!(writer.start_stretch());
        drop(writer);
        reader.join().unwrap();
    });
}

/// Catching up asks the topic's index first, then the Log.
#[test]
fn a_reader_by_the_index_never_skips_a_frame_in_silence() {
    loom::model(|| {
        let mut writer = Writer::new();
        let log = Arc::clone(&writer.log);
        let reader = thread::spawn(move || {
            let head = log.window.head();
            let mut found = Vec::new();
            let is_complete = log.index.lock().unwrap().find(at(1)..head, 9, &mut found);
            if is_complete {
                let numbers = found.iter().map(|sequence| sequence.number());
                assert!(numbers.eq(1..head.number()), "{found:?} below {head}");
            }
            // A frame that has gone since then is known to be gone.
            for sequence in found {
                log.frame(sequence);
            }
        });
        writer.append();
        writer.publish();
        writer.start_stretch();
        writer.append();
        writer.publish();
        reader.join().unwrap();
    });
}
