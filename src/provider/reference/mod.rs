//! Two reference providers, to read and to measure others against.
//!
//! Each is what one would write first: [`BroadcastProvider`] on a broadcast channel, [`SerialProvider`]
//! on one thread that does everything. They keep the whole contract of [`Provider`](super::Provider),
//! and no more.

mod broadcast;
mod serial;
#[cfg(test)]
mod tests;

pub use self::{broadcast::BroadcastProvider, serial::SerialProvider};
