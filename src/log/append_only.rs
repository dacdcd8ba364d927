//! A fixed array that one appender fills while any number of readers read what is published.
//!
//! Slots below `published` are initialised and never written again; slots above it belong to the
//! appender alone. The length is stored with Release after the slots are written and loaded with
//! Acquire before they are read: that pair is the whole synchronisation (I2). loom-tests run it.
#![expect(unsafe_code, reason = "shares a partly written array without a lock")]

use std::mem::MaybeUninit;

use crate::sync::{Arc, AtomicUsize, Ordering, UnsafeCell};

/// The shared side: what has been published so far.
#[derive(Debug)]
pub struct AppendOnly<T> {
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
    published: AtomicUsize,
}

/// The one writer of an [`AppendOnly`].
#[derive(Debug)]
pub struct Appender<T> {
    array: Arc<AppendOnly<T>>,
    written: usize,
}

// SAFETY: the array hands out `&T` of published slots to any thread (so `T: Sync`) and drops its
// values on whichever thread drops it last (so `T: Send`). Unpublished slots are reached through
// the one `Appender` only, and publishing orders its writes before every read.
unsafe impl<T: Send + Sync> Sync for AppendOnly<T> {}
// SAFETY: as above; moving the array moves the values it owns, which are `Send`.
unsafe impl<T: Send + Sync> Send for AppendOnly<T> {}

impl<T> Appender<T> {
    /// An empty array of `capacity` slots, and its writer.
    pub fn new(capacity: usize) -> Self {
        let array = AppendOnly { slots: zeroed_slots(capacity), published: AtomicUsize::new(0) };
        Self { array: Arc::new(array), written: 0 }
    }

    /// The side to give to readers.
    pub fn shared(&self) -> &Arc<AppendOnly<T>> {
        &self.array
    }

    /// Slots written so far, published or not.
    pub fn written(&self) -> usize {
        self.written
    }

    /// Slots left.
    pub fn remaining(&self) -> usize {
        self.array.slots.len() - self.written
    }

    /// Writes the next slot; readers see it after [`publish`](Self::publish).
    ///
    /// # Panics
    /// If no slot remains.
    pub fn push(&mut self, value: T) {
        let slot = &self.array.slots[self.written];
        slot.with_mut(|slot| {
            // SAFETY: `written` is at least `published`, so no reader touches this slot, and
            // `&mut self` is the only appender. The pointer comes from a live slot.
            let slot = unsafe { &mut *slot };
            slot.write(value);
        });
        self.written += 1;
    }

    /// Makes everything written visible to readers.
    pub fn publish(&mut self) {
        // Release; pairs with the Acquire in `AppendOnly::len`.
        self.array.published.store(self.written, Ordering::Release);
    }
}

#[cfg(not(fanfare_loom))]
impl Appender<u8> {
    /// Hands `fill` the next `len` bytes, zeroed, to overwrite, and counts them as written.
    ///
    /// # Panics
    /// If fewer than `len` bytes remain.
    pub fn append_with(&mut self, len: usize, fill: impl FnOnce(&mut [u8])) {
        let slots = &self.array.slots[self.written..self.written + len];
        // SAFETY: `UnsafeCell` and `MaybeUninit` are transparent over `u8`; the slots were
        // allocated zeroed, so they are initialised; they lie at or above `written`, hence above
        // `published`, where no reader looks, and `&mut self` is the only appender.
        let bytes =
            unsafe { std::slice::from_raw_parts_mut(slots.as_ptr().cast_mut().cast::<u8>(), len) };
        fill(bytes);
        self.written += len;
    }
}

impl<T> AppendOnly<T> {
    /// How many slots are published. It never shrinks.
    #[inline]
    pub fn len(&self) -> usize {
        // Acquire; pairs with the Release in `Appender::publish`.
        self.published.load(Ordering::Acquire)
    }

    /// Whether nothing is published yet.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value at `index`, if it is published.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        if index >= self.len() {
            return None;
        }
        self.slots[index].with(|slot| {
            // SAFETY: `index` is below `published`, so no one writes the slot while `self` lives.
            let slot = unsafe { &*slot };
            // SAFETY: it was initialised before the Release store that our Acquire load saw.
            Some(unsafe { slot.assume_init_ref() })
        })
    }

    /// Everything published so far.
    #[cfg(not(fanfare_loom))]
    #[inline]
    pub fn as_slice(&self) -> &[T] {
        let len = self.len();
        // SAFETY: the first `len` slots are initialised and never written again (see `get`);
        // `UnsafeCell` and `MaybeUninit` are transparent, so the layout is that of `[T]`. The
        // appender only ever forms references to slots at or above `len`.
        unsafe { std::slice::from_raw_parts(self.slots.as_ptr().cast::<T>(), len) }
    }
}

impl<T> Drop for AppendOnly<T> {
    fn drop(&mut self) {
        let published = self.len();
        for slot in &self.slots[..published] {
            slot.with_mut(|slot| {
                // SAFETY: `&mut self` excludes all readers and the appender.
                let slot = unsafe { &mut *slot };
                // SAFETY: a published slot is initialised, and each is dropped once, here. Values
                // written but never published leak.
                unsafe { slot.assume_init_drop() };
            });
        }
    }
}

#[cfg(not(fanfare_loom))]
fn zeroed_slots<T>(capacity: usize) -> Box<[UnsafeCell<MaybeUninit<T>>]> {
    // Fresh zeroed pages cost nothing until they are touched.
    let slots = Box::<[UnsafeCell<MaybeUninit<T>>]>::new_zeroed_slice(capacity);
    // SAFETY: any bytes, zeros too, are a valid `UnsafeCell<MaybeUninit<T>>`.
    unsafe { slots.assume_init() }
}

#[cfg(fanfare_loom)]
fn zeroed_slots<T>(capacity: usize) -> Box<[UnsafeCell<MaybeUninit<T>>]> {
    (0..capacity).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect()
}

#[cfg(all(test, not(fanfare_loom)))]
mod tests {
    use super::*;

    #[test]
    fn readers_see_exactly_what_is_published() {
        let mut appender = Appender::new(4);
        let shared = Arc::clone(appender.shared());
        appender.push("a".to_owned());
        assert_eq!(shared.get(0), None);
        appender.publish();
        appender.push("b".to_owned());
        assert_eq!(shared.as_slice(), ["a"]);
        appender.publish();
        assert_eq!(shared.as_slice(), ["a", "b"]);
    }

    #[test]
    fn values_are_dropped_once_when_the_last_reader_goes() {
        let value = Arc::new(());
        let mut appender = Appender::new(2);
        appender.push(Arc::clone(&value));
        appender.publish();
        let shared = Arc::clone(appender.shared());
        drop(appender);
        assert_eq!(Arc::strong_count(&value), 2);
        drop(shared);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn bytes_appended_while_a_reader_reads_stay_what_they_were() {
        // Miri runs every step of the reader's waiting.
        const BYTES: usize = if cfg!(miri) { 512 } else { 64 * 1024 };
        let mut appender = Appender::<u8>::new(BYTES);
        let shared = Arc::clone(appender.shared());
        let reader = std::thread::spawn(move || {
            while shared.len() < BYTES {
                let bytes = shared.as_slice();
                assert!(bytes.iter().enumerate().all(|(index, &byte)| byte == index as u8));
            }
        });
        for start in (0..BYTES).step_by(64) {
            appender.append_with(64, |bytes| {
                for (index, byte) in bytes.iter_mut().enumerate() {
                    *byte = (start + index) as u8;
                }
            });
            appender.publish();
        }
        reader.join().expect("the reader saw only whole bytes");
    }
}
