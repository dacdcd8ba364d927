//! What of an engine can change while it runs.

use std::{sync::Arc, time::Duration};

use crate::{
    limits::{self, Limits},
    sync::RwLock,
};

/// What can change. A core works with a copy, which a reload replaces between two of its turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// The limits, of which some are read at the start alone.
    pub limits: Limits,
    /// How often a quiet stream gets a comment; none is never.
    pub heartbeat: Option<Duration>,
}

/// The tuning in force. Clones share it.
#[derive(Clone, Debug)]
pub struct SharedTuning(Arc<RwLock<Tuning>>);

impl SharedTuning {
    /// Begins with this one.
    pub fn new(tuning: Tuning) -> Self {
        Self(Arc::new(RwLock::new(tuning)))
    }

    /// The one in force. Takes a lock that is held for a copy: not for what is done per delivery.
    pub fn get(&self) -> Tuning {
        *self.0.read()
    }

    pub(super) fn set(&self, tuning: Tuning) {
        *self.0.write() = tuning;
    }
}

impl Default for Tuning {
    fn default() -> Self {
        Self { limits: Limits::default(), heartbeat: Some(limits::HEARTBEAT_DEFAULT) }
    }
}

impl Default for SharedTuning {
    fn default() -> Self {
        Self::new(Tuning::default())
    }
}
