//! How a publisher wakes a reader thread without missing it and without a system call per message.
//!
//! One word per reader: `IDLE`, `NOTIFIED` or `PARKED`. A publisher stores the head, then notifies;
//! a reader takes the notification, then loads the head. Both put a SeqCst fence in between, so at
//! least one of them sees the other's store (Dekker): either the publisher finds the word not
//! `NOTIFIED` and sets it, or the reader finds the new head. loom-tests prove that no wake is lost.

use crate::sync::{AtomicU8, Ordering, fence};

const IDLE: u8 = 0;
const NOTIFIED: u8 = 1;
const PARKED: u8 = 2;

/// The word between publishers and one reader thread.
#[derive(Debug)]
pub struct Signal(AtomicU8);

impl Default for Signal {
    fn default() -> Self {
        Self::new()
    }
}

impl Signal {
    /// A signal nobody has raised.
    pub fn new() -> Self {
        Self(AtomicU8::new(IDLE))
    }

    /// Publisher: says that there is something to read. The head must have been stored before.
    ///
    /// Returns whether the reader is parked and the caller must wake it: true at most once per
    /// [`park`](Self::park).
    #[must_use]
    pub fn notify(&self) -> bool {
        // SeqCst; pairs with the fence in `take`. Orders the caller's head store before our load.
        fence(Ordering::SeqCst);
        if self.0.load(Ordering::Relaxed) == NOTIFIED {
            return false;
        }
        self.0.swap(NOTIFIED, Ordering::AcqRel) == PARKED
    }

    /// Reader: takes the notification, if there is one. Load the head only after this.
    pub fn take(&self) -> bool {
        if self.0.load(Ordering::Relaxed) != NOTIFIED {
            return false;
        }
        self.0.swap(IDLE, Ordering::AcqRel);
        // SeqCst; pairs with the fence in `notify`. Orders the swap before the caller's head load.
        fence(Ordering::SeqCst);
        true
    }

    /// Whether there is a notification to take.
    pub fn is_notified(&self) -> bool {
        self.0.load(Ordering::Relaxed) == NOTIFIED
    }

    /// Reader: announces that it is about to sleep. False: a notification came first, don't sleep.
    #[must_use]
    pub fn park(&self) -> bool {
        self.0.compare_exchange(IDLE, PARKED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Reader: is awake again, for whatever reason.
    pub fn unpark(&self) {
        // Fails when a notification came while parked: that one stays to be taken.
        let _ = self.0.compare_exchange(PARKED, IDLE, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Whether the reader sleeps, so has nothing left to read.
    pub fn is_parked(&self) -> bool {
        self.0.load(Ordering::Relaxed) == PARKED
    }
}

#[cfg(all(test, not(fanfare_loom)))]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_notification_of_a_parked_reader_wakes_it() {
        let signal = Signal::new();
        assert!(!signal.notify());
        assert!(!signal.park(), "a notification is waiting");
        assert!(signal.take());
        assert!(!signal.take());
        assert!(signal.park());
        assert!(signal.notify());
        assert!(!signal.notify());
        signal.unpark();
        assert!(signal.take(), "unpark keeps a notification that came meanwhile");
    }
}
