//! The gate that is in force, which may be exchanged while the server runs.

use std::{net::SocketAddr, sync::Arc};

use parking_lot::RwLock;

use super::{Access, AccessError, Gate};

/// Read for each request, written when an operator changes something.
#[derive(Debug)]
pub(in crate::server) struct Gates(RwLock<Arc<Gate>>);

impl Gates {
    /// What decides for a server that listens there.
    pub(in crate::server) fn new(access: Access, listen: SocketAddr) -> Result<Self, AccessError> {
        Gate::new(access, listen).map(|gate| Self(RwLock::new(Arc::new(gate))))
    }

    /// The one to ask. A request asks the same one to its end.
    pub(in crate::server) fn current(&self) -> Arc<Gate> {
        Arc::clone(&self.0.read())
    }

    /// Puts another one in its place, or changes nothing.
    pub(in crate::server) fn exchange(&self, access: Access) -> Result<(), AccessError> {
        let mut current = self.0.write();
        *current = Arc::new(current.successor(access)?);
        Ok(())
    }
}
