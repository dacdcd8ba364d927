//! Who comes in: whoever asks with GET for the topics in its path, some only after a while.

use std::{net::IpAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;

use crate::{
    engine::{self, Admission, Answer, Question, Verdict},
    http::{RequestHead, error},
    log::Sequence,
    provider::{LagPolicy, LocalProvider, SubscribeRequest},
};

/// Names its peer in a request, so that it is known whose head was complete when.
pub(super) const PEER: &str = "x-peer";

/// Names a policy in a request.
pub(super) const LAG: &str = "x-lag";

/// How many milliseconds a stream lasts.
pub(super) const LASTS: &str = "x-lasts";

/// The verdict takes time.
pub(super) const WAITS: &str = "x-waits";

/// Reads what to do from the request alone: method, path, and headers.
#[derive(Debug)]
pub(super) struct ByPath {
    provider: LocalProvider,
    /// Since it was last asked.
    admitted: Arc<Mutex<Vec<Admitted>>>,
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
        Self { provider, admitted: Arc::default() }
    }

    pub(super) fn has_admitted(&self) -> bool {
        !self.admitted.lock().is_empty()
    }

    pub(super) fn take_admitted(&self) -> Vec<Admitted> {
        std::mem::take(&mut *self.admitted.lock())
    }
}

impl Admission for ByPath {
    fn admit(&self, head: &RequestHead<'_>, _: Option<IpAddr>) -> Verdict {
        let text =
            |name| head.header(name).map(|value| String::from_utf8_lossy(value).into_owned());
        let peer = text(PEER).and_then(|peer| peer.parse().ok());
        let provider = self.provider.clone();
        let admitted = move |peer| {
            let log = provider.log();
            Admitted { peer, head: log.head(), tail: log.tail() }
        };
        let list = Arc::clone(&self.admitted);
        let note = move || list.lock().extend(peer.map(admitted));
        match head.method {
            "GET" => {
                let topics = head.path[1..].split(',').map(ToOwned::to_owned).collect();
                let request = SubscribeRequest {
                    topics,
                    last_event_id: text("last-event-id"),
                    lag: text(LAG).map(|name| lag_policy(&name)),
                };
                let lasts = text(LASTS).and_then(|lasts| lasts.parse().ok());
                let lasts = lasts.map(Duration::from_millis);
                let admitted = engine::Admitted { lasts, ..request.into() };
                if head.header(WAITS).is_none() {
                    note();
                    return Verdict::Subscribe(admitted);
                }
                Verdict::Ask(Question::new(async move {
                    note();
                    Answer::Subscribe(admitted)
                }))
            }
            "PUT" => Verdict::Ask(Question::new(async { Answer::Refuse(error(403, "not yours")) })),
            "POST" => Verdict::HandOver,
            _ => Verdict::Refuse(error(405, "not here")),
        }
    }
}

/// What a peer writes for its policy, and what that is.
pub(super) fn lag_name(policy: LagPolicy) -> &'static str {
    match policy {
        LagPolicy::Disconnect => "disconnect",
        LagPolicy::SkipToNewest => "skip",
        LagPolicy::Conflate => "conflate",
    }
}

fn lag_policy(name: &str) -> LagPolicy {
    let all = [LagPolicy::Disconnect, LagPolicy::SkipToNewest, LagPolicy::Conflate];
    all.into_iter().find(|&policy| lag_name(policy) == name).expect("peers write nothing else")
}
