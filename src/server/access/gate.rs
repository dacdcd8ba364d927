//! The decision: from a request to what it may do, or why not.

mod faults;
mod identity;
mod publishing;

use std::{
    fmt,
    future::Future,
    hash::{Hash, RandomState},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use tower_http::cors::CorsLayer;

pub(in crate::server) use self::publishing::PublishGrant;
use self::{
    faults::{not_allowed, session_failed, too_many, unauthorised},
    identity::{Bearer, Holder, Principal},
    publishing::Publisher,
};
use super::super::fault::Fault;
#[cfg(feature = "jwt")]
use super::jwt::Jwt;
use super::{
    Access, AccessError, Door, Refusal,
    credentials::{Names, Ways},
    origins::Origins,
    places::{Place, Places},
    rates::Rates,
    request::{Asked, Proxies},
    session::{OnSession, Session},
    tokens::StaticToken,
};
use crate::{limits, provider::SubscribeRequest};

/// What [`Access`] comes to, for one server.
#[derive(Debug)]
pub(in crate::server) struct Gate {
    listen: SocketAddr,
    subscribe: Door,
    publish: Door,
    tokens: Vec<StaticToken>,
    #[cfg(feature = "jwt")]
    jwt: Option<Jwt>,
    on_session: Option<OnSession>,
    names: Names,
    origins: Origins,
    proxies: Proxies,
    per_address: Option<Arc<Places<IpAddr>>>,
    per_holder: Option<Arc<Places<Holder>>>,
    rates: Option<Rates<Publisher>>,
    hasher: RandomState,
    clock: Clock,
}

/// The time of day.
struct Clock(Box<dyn Fn() -> SystemTime + Send + Sync>);

/// A subscription on its way through.
#[derive(Debug)]
struct Entry {
    asked: Asked,
    address: Option<IpAddr>,
    request: SubscribeRequest,
    by_address: Option<Place<IpAddr>>,
    bearer: Bearer,
}

/// A subscription that may begin.
#[derive(Debug)]
pub(in crate::server) struct Grant {
    /// What it is of.
    pub(in crate::server) request: SubscribeRequest,
    /// Headers for its head.
    pub(in crate::server) headers: Vec<(HeaderName, HeaderValue)>,
    /// It ends after this.
    pub(in crate::server) lasts: Option<Duration>,
    /// Held as long as it lasts.
    pub(in crate::server) held: Held,
}

/// The places that a subscription takes.
#[derive(Debug, Default)]
pub(in crate::server) struct Held {
    by_address: Option<Place<IpAddr>>,
    by_holder: Option<Place<Holder>>,
}

/// Whether a subscription may begin.
pub(in crate::server) enum Decision {
    Made(Result<Grant, Refusal>),
    /// Not on a core.
    Takes(Pin<Box<dyn Future<Output = Result<Grant, Refusal>> + Send>>),
}

impl Gate {
    /// What decides for a server that listens there.
    pub(in crate::server) fn new(access: Access, listen: SocketAddr) -> Result<Self, AccessError> {
        let (len, max) = (access.tokens.len(), limits::STATIC_TOKENS_MAX);
        if len > max {
            return Err(AccessError::TooManyTokens { len, max });
        }
        #[cfg(feature = "jwt")]
        if access.jwt.as_ref().is_some_and(|jwt| !jwt.has_keys()) {
            return Err(AccessError::NoKey);
        }
        let door = |set: Option<Door>, is_open| match set {
            Some(door) => door,
            None if is_open => Door::Open,
            None => Door::Closed,
        };
        let has_tokens = access.has_tokens();
        let is_local = listen.ip().to_canonical().is_loopback();
        Ok(Self {
            listen,
            subscribe: door(access.subscribe, !has_tokens),
            publish: door(access.publish, !has_tokens && is_local),
            tokens: access.tokens,
            #[cfg(feature = "jwt")]
            jwt: access.jwt,
            on_session: access.on_session,
            names: access.names,
            origins: Origins::parse(&access.origins)?,
            proxies: access.proxies,
            per_address: access.connections_per_ip.map(|max| Arc::new(Places::new(max))),
            per_holder: access.connections_per_token.map(|max| Arc::new(Places::new(max))),
            rates: access.publish_rate.map(Rates::new),
            hasher: RandomState::new(),
            clock: Clock(Box::new(SystemTime::now)),
        })
    }

    /// What decides after it: connections and messages are counted on, and the list of origins stays.
    pub(super) fn successor(&self, access: Access) -> Result<Self, AccessError> {
        let is_hub = self.names.takes_mercures;
        let access = if is_hub { access.with_mercures() } else { access };
        let mut next = Self::new(access, self.listen)?;
        next.origins = self.origins.clone();
        next.hasher = self.hasher.clone();
        count_on(&mut next.per_address, self.per_address.as_deref());
        count_on(&mut next.per_holder, self.per_holder.as_deref());
        if let (Some(next), Some(now)) = (&mut next.rates, &self.rates) {
            next.count_on(now);
        }
        Ok(next)
    }

    /// Whether every subscription may begin as it is asked for, so that there is nothing to ask.
    pub(in crate::server) fn is_open(&self) -> bool {
        self.subscribe == Door::Open
            && !self.knows_tokens()
            && self.on_session.is_none()
            && self.per_address.is_none()
            && self.origins == Origins::Own
    }

    /// Whether every subscriber has a permission for each of its topics.
    pub(in crate::server) fn lets_nobody_listen_in(&self) -> bool {
        self.subscribe == Door::Closed
    }

    /// Whether it matters where subscriptions come from.
    pub(in crate::server) fn needs_peer(&self) -> bool {
        self.per_address.is_some() || self.on_session.is_some()
    }

    /// Headers for the answer that a core gives to this request.
    pub(in crate::server) fn cors_headers(&self, asked: &Asked) -> HeaderMap {
        self.origins.headers(&asked.headers)
    }

    /// What adds these to every answer of the control runtime.
    pub(in crate::server) fn cors_layer(&self) -> Option<CorsLayer> {
        self.origins.layer()
    }

    /// Decides about a subscription, at once where that takes neither a signature nor a callback.
    pub(in crate::server) fn subscribe(
        self: &Arc<Self>,
        asked: Asked,
        request: SubscribeRequest,
    ) -> Decision {
        let entry = match self.enter(asked, request) {
            Ok(entry) => entry,
            Err(fault) => return Decision::Made(Err(fault.into())),
        };
        if self.on_session.is_none() && !matches!(entry.bearer, Bearer::Unverified(_)) {
            return Decision::Made(self.grant_at_once(entry));
        }
        let gate = Arc::clone(self);
        Decision::Takes(Box::pin(async move { gate.grant(entry).await }))
    }

    /// Whether a topic may be subscribed to, by whoever asks about it.
    pub(in crate::server) fn check_visible(&self, asked: &Asked, topic: &str) -> Result<(), Fault> {
        let principal = self.verify(self.identify(asked, Ways::WithoutParameter)?)?;
        self.check_subscribe(principal.as_ref(), &[topic.to_owned()])
    }

    /// The part of the way that costs a core little.
    fn enter(&self, asked: Asked, request: SubscribeRequest) -> Result<Entry, Fault> {
        let address = asked.peer.and_then(|_| self.proxies.client(&asked));
        let by_address = match (&self.per_address, address) {
            (Some(places), Some(address)) => {
                Some(places.take(network(address)).ok_or_else(|| {
                    too_many("too many event streams to this address", RETRY_PLACES)
                })?)
            }
            _ => None,
        };
        let bearer = self.identify(&asked, Ways::WithParameter)?;
        Ok(Entry { asked, address, request, by_address, bearer })
    }

    async fn grant(&self, entry: Entry) -> Result<Grant, Refusal> {
        let (mut session, principal, held) = self.prepare(entry)?;
        let request = session.request.clone();
        let Some(on_session) = &self.on_session else {
            return Ok(self.granted(request, principal, held)?);
        };
        session.subject = principal.as_ref().and_then(|principal| principal.subject.clone());
        let answer = on_session.ask(session).await.map_err(|fault| session_failed(&fault))?;
        let admit = answer.map_err(|reject| Refusal::Rejected(Box::new(reject)))?;
        let request = admit.apply(request).map_err(|fault| session_failed(&fault))?;
        // Its token may have expired meanwhile.
        let mut grant = self.granted(request, principal, held)?;
        grant.headers = admit.headers;
        let lasts = admit.lasts.map(|lasts| lasts.min(limits::SESSION_MAX));
        grant.lasts = lasts.into_iter().chain(grant.lasts).min();
        Ok(grant)
    }

    fn grant_at_once(&self, entry: Entry) -> Result<Grant, Refusal> {
        let (session, principal, held) = self.prepare(entry)?;
        Ok(self.granted(session.request, principal, held)?)
    }

    fn prepare(&self, entry: Entry) -> Result<(Session, Option<Principal>, Held), Fault> {
        let Entry { asked, address, request, by_address, bearer } = entry;
        let principal = self.verify(bearer)?;
        self.check_subscribe(principal.as_ref(), &request.topics)?;
        let by_holder = self.place(principal.as_ref())?;
        let session = Session { asked, address, request, subject: None };
        Ok((session, principal, Held { by_address, by_holder }))
    }

    fn check_subscribe(
        &self,
        principal: Option<&Principal>,
        topics: &[String],
    ) -> Result<(), Fault> {
        match (self.subscribe, principal) {
            (Door::Open, _) => Ok(()),
            (Door::Closed, None) => Err(unauthorised()),
            (Door::Closed, Some(principal)) => {
                let may = |topic: &String| principal.permissions.may_subscribe(topic);
                if topics.iter().all(may) { Ok(()) } else { Err(not_allowed()) }
            }
        }
    }

    fn place(&self, principal: Option<&Principal>) -> Result<Option<Place<Holder>>, Fault> {
        let (Some(places), Some(principal)) = (&self.per_holder, principal) else {
            return Ok(None);
        };
        let full = || too_many("too many event streams with this token", RETRY_PLACES);
        places.take(principal.holder).ok_or_else(full).map(Some)
    }

    fn granted(
        &self,
        request: SubscribeRequest,
        principal: Option<Principal>,
        held: Held,
    ) -> Result<Grant, Fault> {
        let lasts = match principal.and_then(|principal| principal.expires) {
            None => None,
            Some(expires) => Some(self.left_until(expires).ok_or_else(unauthorised)?),
        };
        Ok(Grant { request, headers: Vec::new(), lasts, held })
    }

    /// None: it is over.
    fn left_until(&self, expires: SystemTime) -> Option<Duration> {
        let left = expires.duration_since((self.clock.0)()).ok()?;
        (!left.is_zero()).then(|| left.min(limits::SESSION_MAX))
    }
}

impl Access {
    fn has_tokens(&self) -> bool {
        #[cfg(feature = "jwt")]
        if self.jwt.is_some() {
            return true;
        }
        !self.tokens.is_empty()
    }
}

impl Held {
    pub(in crate::server) fn is_nothing(&self) -> bool {
        self.by_address.is_none() && self.by_holder.is_none()
    }
}

impl Decision {
    /// The decision, when it has been made.
    pub(in crate::server) async fn made(self) -> Result<Grant, Refusal> {
        match self {
            Self::Made(decision) => decision,
            Self::Takes(decision) => decision.await,
        }
    }
}

fn count_on<K: Eq + Hash + Copy>(next: &mut Option<Arc<Places<K>>>, now: Option<&Places<K>>) {
    if let (Some(places), Some(now)) = (next, now) {
        *places = Arc::new(places.counting_on(now));
    }
}

/// When it may be worth trying again where there are too many connections.
const RETRY_PLACES: Duration = Duration::from_secs(10);

/// Whom an address is counted for: of IPv6, everybody has 64 bits of them.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
