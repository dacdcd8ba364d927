//! `Stopwatch`: publishers and one reader. The time that comes out is that of the frame.
#![cfg(fanfare_loom)]

use std::time::Duration;

use fanfare::log::{Sequence, stopwatch::Stopwatch};
use loom::{sync::Arc, thread};

/// A frame's time is its number, so that another's is seen.
fn start(stopwatch: &Stopwatch, number: u64) {
    stopwatch.start(Sequence::new(number), || Duration::from_nanos(number));
}

/// Stops it behind a frame, and gives which one that was.
fn stop(stopwatch: &Stopwatch, number: u64) -> Option<u64> {
    let since = stopwatch.stop(Sequence::new(number + 1))?;
    Some(u64::try_from(since.as_nanos()).expect("a small number"))
}

#[test]
fn a_time_is_that_of_a_frame_that_was_written() {
    loom::model(|| {
        let stopwatch = Arc::new(Stopwatch::new());
        let publishers = [1, 2].map(|number| {
            let stopwatch = Arc::clone(&stopwatch);
            thread::spawn(move || start(&stopwatch, number))
        });
        if let Some(number) = stop(&stopwatch, 1) {
            assert_eq!(number, 1, "frame 2 is not written");
        }
        for publisher in publishers {
            publisher.join().expect("it does not panic");
        }
        let left = stop(&stopwatch, 2);
        assert!(matches!(left, None | Some(1 | 2)), "{left:?}");
        start(&stopwatch, 3);
        assert_eq!(stop(&stopwatch, 3), Some(3), "it can be used again");
    });
}

#[test]
fn a_time_is_not_overwritten_while_it_is_read() {
    loom::model(|| {
        let stopwatch = Arc::new(Stopwatch::new());
        start(&stopwatch, 1);
        let publisher = {
            let stopwatch = Arc::clone(&stopwatch);
            thread::spawn(move || start(&stopwatch, 2))
        };
        assert_eq!(stop(&stopwatch, 1), Some(1));
        publisher.join().expect("it does not panic");
    });
}
