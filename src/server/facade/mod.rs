//! The URLs of other systems, so that who moves from them can keep their clients. Off by default.
//!
//! A façade translates: it has no messages, topics or ids of its own, and what it cannot translate it
//! refuses by name. Subscriptions stay on the cores, as those of `GET /events` do.

mod mercure;
mod nchan;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Uri, header},
    response::Response,
};

#[cfg(feature = "jwt")]
pub(super) use self::mercure::permissions as mercure_permissions;
use self::nchan::Channels;
use super::{
    access::Refusal,
    fault::Fault,
    routes::{self, Desk},
    selection::SelectionError,
};
use crate::{http::RequestHead, provider::SubscribeRequest};

/// A system whose URLs the server answers besides its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Facade {
    /// [Mercure]: `/.well-known/mercure`, to subscribe by `GET` and to publish by `POST`.
    ///
    /// A topic is selected by its name, by `*`, or by a template in which each `{variable}` is a whole
    /// segment. A token's claim `mercure` permits what it says beside the claim that is configured, and
    /// the token may also be in the cookie `mercureAuthorization` or, to subscribe, in the parameter
    /// `authorization`. Where subscribing is [closed](super::Door::Closed), public updates too reach those
    /// alone whose token permits the topic; elsewhere private updates are refused.
    ///
    /// [Mercure]: https://mercure.rocks/spec
    Mercure,
    /// [Nchan]: channel `c` is published to at `/pub?id=c` or `/pub/c`, and read by `EventSource` at
    /// `/sub?id=c` or `/sub/c`. A channel is the topic of its name.
    ///
    /// A new subscriber begins with what is published next. Channels cannot be deleted.
    ///
    /// [Nchan]: https://nchan.io
    Nchan,
}

/// Those that a server has.
#[derive(Clone, Debug, Default)]
pub(super) struct Facades {
    mercure: bool,
    nchan: Option<Arc<Channels>>,
}

/// What of a `GET` says what is subscribed to, wherever it was received.
pub(super) struct Get<'r> {
    path: &'r str,
    query: Option<&'r str>,
    last_event_ids: Vec<&'r [u8]>,
    accept: Vec<&'r [u8]>,
}

type Selected = Result<SubscribeRequest, SelectionError>;

impl Facades {
    /// Whether tokens may be as Mercure has them.
    pub(super) fn has_mercure(&self) -> bool {
        self.mercure
    }

    pub(super) fn add(&mut self, facade: Facade) {
        match facade {
            Facade::Mercure => self.mercure = true,
            Facade::Nchan => self.nchan = Some(Arc::default()),
        }
    }

    /// What a `GET` subscribes to; none if a façade that is on has no subscriptions at its path.
    pub(super) fn selection(&self, get: &Get<'_>) -> Option<Selected> {
        if self.mercure && get.path == mercure::PATH {
            return Some(mercure::subscription(get));
        }
        let channels = self.nchan.as_deref()?;
        Some(channels.subscription(nchan::channels_at(nchan::SUBSCRIBE, get.path, get.query)?, get))
    }

    /// What the control runtime answers.
    pub(super) fn routes(&self) -> Router<Desk> {
        let mut routes = Router::new();
        if self.mercure {
            routes = routes.merge(mercure::routes());
        }
        if let Some(channels) = &self.nchan {
            routes = routes.merge(nchan::routes(Arc::clone(channels)));
        }
        routes
    }
}

/// A subscription on a connection that is here already.
async fn events(State(desk): State<Desk>, request: Request) -> Result<Response, Refusal> {
    let (head, _) = request.into_parts();
    let selected = desk.facades.selection(&Get::of_request(&head.uri, &head.headers));
    let selected = selected.ok_or_else(Fault::unknown_path)?.map_err(Fault::from)?;
    routes::open(&desk, &head, selected).await
}

impl<'r> Get<'r> {
    pub(super) fn of_head(head: &RequestHead<'r>) -> Self {
        Self {
            path: head.path,
            query: head.query,
            last_event_ids: head.headers("last-event-id").collect(),
            accept: head.headers("accept").collect(),
        }
    }

    fn of_request(uri: &'r Uri, headers: &'r HeaderMap) -> Self {
        let values = |name: &str| headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        Self {
            path: uri.path(),
            query: uri.query(),
            last_event_ids: values("last-event-id"),
            accept: values(header::ACCEPT.as_str()),
        }
    }
}

#[cfg(test)]
mod tests;
