//! Where atomics, cells and `Arc` come from: the standard library, or loom's models of them.
//!
//! Lock-free code names only this module, so that the models in `loom-tests/` run the very code
//! that ships. The cfg is `fanfare_loom`: a bare `loom` would reach every dependency.

#[cfg(fanfare_loom)]
pub(crate) use loom::{
    cell::UnsafeCell,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering, fence},
    },
};

#[cfg(not(fanfare_loom))]
pub(crate) use std::sync::{
    Arc,
    atomic::{AtomicU8, AtomicUsize, Ordering, fence},
};

#[cfg(not(fanfare_loom))]
pub(crate) use cell::UnsafeCell;

#[cfg(not(fanfare_loom))]
mod cell {
    /// `std`'s cell behind the access methods of loom's.
    #[derive(Debug)]
    #[repr(transparent)]
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        #[inline]
        pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
            read(self.0.get())
        }

        #[inline]
        pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
            write(self.0.get())
        }
    }
}
