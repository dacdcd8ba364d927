//! What becomes of a request that a core has read: decided from its head alone.
//!
//! Only `GET /events` stays on the core. Everything else is HTTP that hyper speaks better.

use std::{net::IpAddr, sync::Arc};

use ::http::HeaderMap;

use super::{
    access::{Asked, Decision, Gate, Gates, Grant, Refusal, write_headers},
    facade::{Facades, Get},
    selection::{self, SelectionError},
};
use crate::{
    engine::{Admission, Admitted, Answer, Question, SharedTuning, Ticket, Verdict},
    http::{self, BodyLength, RequestHead},
    provider::SubscribeRequest,
};

/// The path of subscriptions.
pub(super) const EVENTS_PATH: &str = "/events";

/// The server's rule: `GET /events` is a subscription, and what its façades have as one, if the gate
/// lets it pass.
#[derive(Debug)]
pub(super) struct Subscriptions {
    place: Place,
    facades: Facades,
    gates: Arc<Gates>,
    tuning: SharedTuning,
}

/// Where subscriptions are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// By the core that accepted it, from the Log.
    OnCores,
    /// By the control runtime: the provider has no Log.
    InControl,
}

impl Subscriptions {
    pub(super) fn new(
        place: Place,
        facades: Facades,
        gates: Arc<Gates>,
        tuning: SharedTuning,
    ) -> Self {
        Self { place, facades, gates, tuning }
    }

    /// What is subscribed to; none if that is not what the request is for.
    fn selection(
        &self,
        head: &RequestHead<'_>,
    ) -> Option<Result<SubscribeRequest, SelectionError>> {
        if head.method != "GET" {
            return None;
        }
        if head.path == EVENTS_PATH {
            let headers = head.headers("last-event-id");
            return Some(selection::subscription(head.query_pairs(), headers));
        }
        self.facades.selection(&Get::of_head(head))
    }
}

fn decide(gate: &Arc<Gate>, asked: Asked, request: SubscribeRequest) -> Verdict {
    let cors = gate.cors_headers(&asked);
    match gate.subscribe(asked, request) {
        Decision::Made(made) => match answer(made, &cors) {
            Answer::Subscribe(admitted) => Verdict::Subscribe(admitted),
            Answer::Refuse(reply) => Verdict::Refuse(reply),
        },
        Decision::Takes(decision) => {
            Verdict::Ask(Question::new(async move { answer(decision.await, &cors) }))
        }
    }
}

/// What the core does, with these headers for its reply.
fn answer(decision: Result<Grant, Refusal>, cors: &HeaderMap) -> Answer {
    match decision {
        Ok(grant) => {
            let mut headers = Vec::new();
            write_headers(&mut headers, cors);
            write_headers(&mut headers, grant.headers.iter().map(|(name, value)| (name, value)));
            let ticket = (!grant.held.is_nothing()).then(|| Ticket::new(grant.held));
            let (request, lasts) = (grant.request, grant.lasts);
            Answer::Subscribe(Admitted { request, headers, lasts, ticket })
        }
        Err(refusal) => Answer::Refuse(refusal.into_bytes(cors)),
    }
}

impl Admission for Subscriptions {
    fn needs_peer(&self) -> bool {
        self.gates.current().needs_peer()
    }

    fn admit(&self, head: &RequestHead<'_>, peer: Option<IpAddr>) -> Verdict {
        if self.place == Place::InControl {
            return Verdict::HandOver;
        }
        let Some(selected) = self.selection(head) else { return Verdict::HandOver };
        let limits = self.tuning.get().limits;
        let selected = selected.and_then(|request| {
            selection::check_within(&request, &limits)?;
            Ok(request)
        });
        let gate = self.gates.current();
        match without_body(head).and(selected) {
            Ok(request) if gate.is_open() => Verdict::Subscribe(request.into()),
            Ok(request) => decide(&gate, Asked::of_head(head, peer), request),
            Err(fault) => Verdict::Refuse(http::error(400, &fault.to_string())),
        }
    }
}

fn without_body(head: &RequestHead<'_>) -> Result<(), SelectionError> {
    match head.body_length() {
        BodyLength::None | BodyLength::Exact(0) => Ok(()),
        BodyLength::Exact(_) | BodyLength::Chunked => Err(SelectionError::Body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Head, parse_head};

    fn admit(request: &str) -> Verdict {
        let Head::Complete(head) = parse_head(request.as_bytes()).unwrap() else {
            panic!("not a whole head: {request:?}")
        };
        let listen = "127.0.0.1:80".parse().unwrap();
        let gates = Gates::new(super::super::Access::new(), listen, false).unwrap();
        let (facades, tuning) = (Facades::default(), SharedTuning::default());
        Subscriptions::new(Place::OnCores, facades, Arc::new(gates), tuning).admit(&head, None)
    }

    #[track_caller]
    fn check_refused(request: &str, fault: &str) {
        let Verdict::Refuse(reply) = admit(request) else { panic!("not refused: {request:?}") };
        let reply = String::from_utf8(reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{reply}");
        assert!(reply.ends_with(&format!(",\"detail\":{fault:?}}}")), "{reply}");
    }

    #[test]
    fn a_get_of_events_subscribes() {
        let subscribed = |request| match admit(request) {
            Verdict::Subscribe(admitted) => admitted.request,
            other => panic!("{other:?}"),
        };
        let asked = subscribed(
            "GET /events?topic=a&topic=b HTTP/1.1\r\nHost: h\r\nLast-Event-ID: 6f1d02aa-7\r\n\
             Content-Length: 0\r\n\r\n",
        );
        let request = SubscribeRequest {
            topics: vec!["a".into(), "b".into()],
            last_event_id: Some("6f1d02aa-7".into()),
            lag: None,
        };
        assert_eq!(asked, request);
        let plain = subscribed("GET /events HTTP/1.0\r\n\r\n");
        assert_eq!(plain, SubscribeRequest::to(&[crate::provider::DEFAULT_TOPIC]));
    }

    #[test]
    fn everything_else_is_handed_over() {
        for line in [
            "GET / HTTP/1.1",
            "GET /events/ HTTP/1.1",
            "GET /Events HTTP/1.1",
            "GET /%65vents HTTP/1.1",
            "HEAD /events HTTP/1.1",
            "POST /events HTTP/1.1",
            "get /events HTTP/1.1",
            "POST /publish HTTP/1.1",
        ] {
            let verdict = admit(&format!("{line}\r\nHost: h\r\n\r\n"));
            assert!(matches!(verdict, Verdict::HandOver), "{line}");
        }
    }

    #[test]
    fn a_faulty_subscription_is_refused_by_name() {
        check_refused("GET /events?topic= HTTP/1.1\r\nHost: h\r\n\r\n", "topic is empty");
        let twice = "Last-Event-ID: a\r\nlast-event-id: b\r\n";
        check_refused(
            &format!("GET /events HTTP/1.1\r\nHost: h\r\n{twice}\r\n"),
            "last event id is given twice",
        );
        for body in ["Content-Length: 1\r\n", "Transfer-Encoding: chunked\r\n"] {
            check_refused(
                &format!("GET /events HTTP/1.1\r\nHost: h\r\n{body}\r\n"),
                "a subscription has no body",
            );
        }
    }
}
