//! Reader threads: how publishers reach the ones that want a frame, and how far each has read.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crossbeam::utils::CachePadded;

use crate::log::{Log, ReaderId, Sequence, signal::Signal, stopwatch::Stopwatch};

/// A thread that reads the Log for many subscribers: a core of the engine.
pub struct Reader {
    id: ReaderId,
    /// Raised by publishers of frames that this reader wants.
    pub signal: CachePadded<Signal>,
    /// Times frames that this reader wants.
    pub stopwatch: CachePadded<Stopwatch>,
    progress: CachePadded<AtomicU64>,
    wake: Box<dyn Fn() + Send + Sync>,
}

/// The readers of one provider.
pub(super) struct Readers {
    by_number: [OnceLock<Arc<Reader>>; ReaderId::MAX],
}

impl Reader {
    /// Its bit in the topics' interest.
    pub fn id(&self) -> ReaderId {
        self.id
    }

    /// Reader thread: says how far the most of its subscribers are.
    pub fn report_progress(&self, progress: Sequence) {
        self.progress.store(progress.number(), Ordering::Relaxed);
    }

    /// Wakes the thread if it is parked and has not been told yet.
    pub fn notify(&self) {
        if self.signal.notify() {
            (self.wake)();
        }
    }

    fn is_far_behind(&self, log: &Log) -> bool {
        let progress = Sequence::new(self.progress.load(Ordering::Relaxed));
        !self.signal.is_parked() && log.is_far_behind(progress)
    }
}

impl Default for Readers {
    fn default() -> Self {
        Self { by_number: [const { OnceLock::new() }; ReaderId::MAX] }
    }
}

impl Readers {
    /// Registers a thread that `wake` wakes from its sleep; none when all places are taken.
    pub(super) fn register(&self, wake: Box<dyn Fn() + Send + Sync>) -> Option<Arc<Reader>> {
        let mut wake = Some(wake);
        (0..ReaderId::MAX).find_map(|number| {
            let mut registered = None;
            self.by_number[number].get_or_init(|| {
                let reader = Arc::new(Reader {
                    id: ReaderId::new(number).expect("the number is below the maximum"),
                    signal: CachePadded::default(),
                    stopwatch: CachePadded::default(),
                    progress: CachePadded::new(AtomicU64::new(Sequence::FIRST.number())),
                    wake: wake.take().expect("used for the first free place only"),
                });
                registered = Some(Arc::clone(&reader));
                reader
            });
            registered
        })
    }

    /// Notifies the readers whose bits are set of frames from `first` on.
    pub(super) fn notify(&self, mut interest: u64, first: Sequence, now: impl Fn() -> Duration) {
        while interest != 0 {
            if let Some(reader) = self.by_number[interest.trailing_zeros() as usize].get() {
                reader.stopwatch.start(first, &now);
                reader.notify();
            }
            interest &= interest - 1;
        }
    }

    pub(super) fn any_far_behind(&self, log: &Log) -> bool {
        self.by_number.iter().map_while(OnceLock::get).any(|reader| reader.is_far_behind(log))
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.by_number.iter().map_while(OnceLock::get)).finish()
    }
}
