//! The gate that is in force, which may be exchanged while the server runs.

use std::{net::SocketAddr, sync::Arc};

use parking_lot::RwLock;

use super::{Access, AccessError, Gate};

/// Read for each request, written when an operator changes something.
#[derive(Debug)]
pub(in crate::server) struct Gates {
    current: RwLock<Arc<Gate>>,
    takes_mercures: bool,
}

impl Gates {
    /// What decides for a server that listens there, and whether it takes Mercure's tokens too.
    pub(in crate::server) fn new(
        access: Access,
        listen: SocketAddr,
        takes_mercures: bool,
    ) -> Result<Self, AccessError> {
        let access = if takes_mercures { access.with_mercures() } else { access };
        let current = RwLock::new(Arc::new(Gate::new(access, listen)?));
        Ok(Self { current, takes_mercures })
    }

    /// The one to ask. A request asks the same one to its end.
    pub(in crate::server) fn current(&self) -> Arc<Gate> {
        Arc::clone(&self.current.read())
    }

    /// Puts another one in its place, or changes nothing.
    pub(in crate::server) fn exchange(&self, access: Access) -> Result<(), AccessError> {
        let access = if self.takes_mercures { access.with_mercures() } else { access };
        let mut current = self.current.write();
        *current = Arc::new(current.successor(access)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        provider::SubscribeRequest,
        server::access::{Asked, Decision, Permissions, StaticToken},
    };

    /// A subscriber that brings its token in the cookie that Mercure's clients have.
    fn is_let_in(gates: &Gates) -> bool {
        let cookie = "mercureAuthorization=static-token-of-a-reader".parse().unwrap();
        let asked = Asked {
            path: "/.well-known/mercure".into(),
            query: None,
            headers: [(http::header::COOKIE, cookie)].into_iter().collect(),
            peer: None,
        };
        let decision = gates.current().subscribe(asked, SubscribeRequest::to(&["news"]));
        matches!(decision, Decision::Made(Ok(_)))
    }

    #[test]
    fn an_exchange_takes_mercures_tokens_as_before() {
        let listen = "127.0.0.1:80".parse().unwrap();
        let access = || {
            let permissions = Permissions::new(&["news"], &[""; 0]).unwrap();
            let token = StaticToken::new("static-token-of-a-reader", permissions).unwrap();
            Access::new().token(token).subscribe(crate::server::access::Door::Closed)
        };
        for takes_mercures in [false, true] {
            let gates = Gates::new(access(), listen, takes_mercures).unwrap();
            assert_eq!(is_let_in(&gates), takes_mercures);
            gates.exchange(access()).unwrap();
            assert_eq!(is_let_in(&gates), takes_mercures);
        }
    }
}
