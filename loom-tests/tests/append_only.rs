//! `AppendOnly`: one appender, readers of what is published (I2).
#![cfg(fanfare_loom)]

use fanfare::log::append_only::Appender;
use loom::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// A value whose two halves are equal when it is whole.
#[derive(Debug)]
struct Halves(usize, usize);

#[test]
fn a_reader_sees_only_whole_values_and_never_fewer_than_before() {
    loom::model(|| {
        let mut appender = Appender::new(3);
        let shared = Arc::clone(appender.shared());
        let reader = thread::spawn(move || {
            let mut seen = 0;
            for _ in 0..2 {
                let len = shared.len();
                assert!(len >= seen, "a published value was taken back");
                for index in 0..len {
                    let Halves(left, right) = shared.get(index).expect("it is published");
                    assert_eq!((*left, *right), (index, index));
                }
                seen = len;
            }
        });
        appender.push(Halves(0, 0));
        appender.publish();
        appender.push(Halves(1, 1));
        appender.push(Halves(2, 2));
        appender.publish();
        reader.join().unwrap();
    });
}

#[test]
fn what_is_written_but_not_published_is_not_seen() {
    loom::model(|| {
        let mut appender = Appender::new(2);
        let shared = Arc::clone(appender.shared());
        let reader = thread::spawn(move || assert!(shared.get(1).is_none()));
        appender.push(Halves(0, 0));
        appender.publish();
        appender.push(Halves(1, 1));
        reader.join().unwrap();
    });
}

#[test]
fn a_value_is_dropped_once_whoever_is_last() {
    struct CountsDrops(Arc<AtomicUsize>);
    impl Drop for CountsDrops {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    loom::model(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let mut appender = Appender::new(1);
        let shared = Arc::clone(appender.shared());
        appender.push(CountsDrops(Arc::clone(&drops)));
        appender.publish();
        let reader = thread::spawn(move || assert!(shared.get(0).is_some()));
        drop(appender);
        reader.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}
