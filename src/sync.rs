//! Where atomics, cells and `Arc` come from: the standard library, or loom's models of them.
//!
//! Lock-free code names only this module, so that the models in `loom-tests/` run the very code
//! that ships. The cfg is `fanfare_loom`: a bare `loom` would reach every dependency.

#[cfg(fanfare_loom)]
pub(crate) use loom::{
    cell::UnsafeCell,
    sync::{
        Arc, RwLockReadGuard,
        atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
    },
};

#[cfg(fanfare_loom)]
pub(crate) use lock::RwLock;

#[cfg(not(fanfare_loom))]
pub(crate) use std::sync::{
    Arc,
    atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};

#[cfg(not(fanfare_loom))]
pub(crate) use parking_lot::{RwLock, RwLockReadGuard};

#[cfg(not(fanfare_loom))]
pub(crate) use cell::UnsafeCell;

#[cfg(fanfare_loom)]
mod lock {
    use loom::sync::{RwLockReadGuard, RwLockWriteGuard};

    /// loom's lock behind the access methods of `parking_lot`'s.
    #[derive(Debug)]
    pub(crate) struct RwLock<T>(loom::sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::RwLock::new(value))
        }

        pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().expect("no thread panics while it holds the lock")
        }

        pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.write().expect("no thread panics while it holds the lock")
        }
    }
}

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
