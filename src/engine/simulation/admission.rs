//! Who comes in: whoever asks with GET for the topics in its path.

use parking_lot::Mutex;

use crate::{
    engine::{Admission, Verdict},
    http::{RequestHead, error},
    log::Sequence,
    provider::{LocalProvider, SubscribeRequest},
};

/// Names its peer in a request, so that it is known whose head was complete when.
pub(super) const PEER: &str = "x-peer";

/// Reads what to do from the request alone: method, path, and headers.
#[derive(Debug)]
pub(super) struct ByPath {
    provider: LocalProvider,
    /// Since it was last asked.
    admitted: Mutex<Vec<Admitted>>,
}

/// Somebody whose head was complete.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admitted {
    pub(super) peer: usize,
    pub(super) head: Sequence,
    pub(super) tail: Sequence,
}

impl ByPath {
    pub(super) fn new(provider: LocalProvider) -> Self {
        Self { provider, admitted: Mutex::default() }
    }

    pub(super) fn take_admitted(&self) -> Vec<Admitted> {
        std::mem::take(&mut *self.admitted.lock())
    }
}

impl Admission for ByPath {
    fn admit(&self, head: &RequestHead<'_>) -> Verdict {
        let text =
            |name| head.header(name).map(|value| String::from_utf8_lossy(value).into_owned());
        let peer = text(PEER).and_then(|peer| peer.parse().ok());
        let log = self.provider.log();
        let admitted = |peer| Admitted { peer, head: log.head(), tail: log.tail() };
        self.admitted.lock().extend(peer.map(admitted));
        match head.method {
            "GET" => {
                let topics = head.path[1..].split(',').map(ToOwned::to_owned).collect();
                Verdict::Subscribe(SubscribeRequest {
                    topics,
                    last_event_id: text("last-event-id"),
                    lag: None,
                })
            }
            "POST" => Verdict::HandOver,
            _ => Verdict::Refuse(error(405, "not here")),
        }
    }
}
