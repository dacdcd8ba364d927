//! What do we accept? The HTTP surface, and the server that puts the parts together.
//!
//! The cores ask `admission` about each request head. Subscriptions stay with them; everything
//! else comes as a socket to `control`, where `routes` answers it. Both read requests through
//! `selection`, so a subscription means the same in both places.

mod access;
mod admin;
mod admission;
mod control;
mod embed;
mod event_stream;
mod facade;
mod fault;
mod metrics;
mod pages;
mod presence;
mod publish;
mod reload;
mod routes;
mod selection;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Semaphore, mpsc};

#[cfg(feature = "jwt")]
pub use self::access::Jwt;
use self::{
    access::Gates,
    admin::Stats,
    admission::{Place, Subscriptions},
    control::{Arrivals, Control, Extras},
    facade::Facades,
    metrics::{ControlCounters, Sources},
    routes::{Desk, Places},
};
pub use self::{
    access::{
        Access, AccessError, Admit, Door, ForwardedHeader, Permissions, PublishRate, Reject,
        Session, StaticToken,
    },
    facade::Facade,
    reload::Reloadable,
};
use crate::{
    engine::{
        self, CoreCounters, DriverChoice, DriverKind, Engine, EngineOptions, SharedTuning, Tuning,
    },
    limits::{self, LimitError, Limits},
    log::LogOptions,
    provider::{LagPolicy, LocalProvider, LocalProviderBuilder, Provider, Publisher, TopicError},
};

/// Answers the requests of a connection on which `received` has arrived, as if a core had handed it over,
/// until it ends. For `tools/fuzz` alone.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub async fn serve_handed_over<S>(received: &[u8], socket: S, publisher: Publisher)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
{
    let tuning = SharedTuning::default();
    let limits = tuning.get().limits;
    let places = Places::of(publisher.provider().local(), &limits);
    let registry = prometheus_client::registry::Registry::default();
    let gates =
        Gates::new(Access::new(), DEFAULT_LISTEN, false).expect("everybody may do everything");
    let counters = Arc::default();
    let desk =
        Desk::new(publisher, counters, registry, places, Arc::new(gates), tuning, Arc::default());
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    control::serve(received, socket, access::Peer(None), routes::router(desk), limits, stopped)
        .await;
}

/// A running server.
///
/// ```
/// use fanfare::{Message, Server};
///
/// let server = Server::builder().listen("127.0.0.1:0").cores(1).start()?;
/// server.publisher().publish(&Message::new("doors open"), &["lobby"])?;
/// println!("subscribe at http://{}/events?topic=lobby", server.local_addr());
/// server.shutdown();
/// server.wait();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Dropping it shuts it down and waits for the end.
#[derive(Debug)]
pub struct Server {
    publisher: Publisher,
    engine: Engine,
    tuning: SharedTuning,
    /// Whether it has been told to end.
    is_draining: Arc<AtomicBool>,
    gates: Arc<Gates>,
    admin_addr: Option<SocketAddr>,
    /// None once it has been waited for.
    control: Option<Control>,
}

/// Settings of a server that is to start; each has a default.
#[derive(Debug)]
pub struct ServerBuilder {
    publisher: Option<Publisher>,
    listen: io::Result<SocketAddr>,
    admin: Option<io::Result<SocketAddr>>,
    cores: Option<NonZeroUsize>,
    driver: DriverChoice,
    local: LocalProviderBuilder,
    presence: Option<String>,
    connection_age: Option<Duration>,
    facades: Facades,
    access: Access,
    tuning: Tuning,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The caller's address cannot be resolved.
    #[error("cannot resolve the address to listen on")]
    Address(#[source] io::Error),
    /// The operator's address cannot be listened on.
    #[error("cannot listen for operators on {address}")]
    Admin {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        fault: io::Error,
    },
    /// Presence cannot be told on this topic.
    #[error("cannot tell presence there")]
    Presence(#[source] TopicError),
    /// The engine cannot start.
    #[error(transparent)]
    Engine(#[from] engine::StartError),
    /// Who may do what is not configured right.
    #[error("access is not configured right")]
    Access(#[from] AccessError),
    /// A limit cannot be.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The control runtime cannot start.
    #[error("cannot start the control runtime")]
    Control(#[source] io::Error),
}

impl Server {
    /// A server with the default settings, to be changed and started.
    pub fn builder() -> ServerBuilder {
        ServerBuilder {
            publisher: None,
            listen: Ok(DEFAULT_LISTEN),
            admin: None,
            cores: None,
            driver: DriverChoice::Auto,
            local: LocalProvider::builder(),
            presence: None,
            connection_age: None,
            facades: Facades::default(),
            access: Access::new(),
            tuning: Tuning::default(),
        }
    }

    /// A handle to publish with, from any thread.
    pub fn publisher(&self) -> Publisher {
        self.publisher.clone()
    }

    /// What the server serves from: subscribe to it in this process.
    pub fn provider(&self) -> &dyn Provider {
        self.publisher.provider()
    }

    /// Where it listens: the port that was given where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.engine.local_addr()
    }

    /// Where it listens for operators, if it does.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin_addr
    }

    /// How many cores it runs.
    pub fn cores(&self) -> usize {
        self.engine.counters().count()
    }

    /// How it moves bytes.
    pub fn driver(&self) -> DriverKind {
        self.engine.driver()
    }

    /// Why it moves them so.
    pub fn driver_reason(&self) -> &str {
        self.engine.driver_reason()
    }

    /// Asks it to end gently: no new connections, and event streams end in order, one after the other
    /// over this time or [`limits::DRAIN_PACE`] each if that is less, each told when to come back.
    /// Until its turn comes a stream goes on with what this process publishes. Over HTTP messages are
    /// refused with a 503, because whoever has left would not get them; so is `/ready`.
    /// Returns at once; [`wait`](Self::wait) for the end, and a [`shutdown`](Self::shutdown) hurries.
    pub fn drain(&self, over: Duration) {
        self.is_draining.store(true, Ordering::Relaxed);
        self.engine.drain(over);
    }

    /// Asks it to end: no new connections, no more messages, and event streams end in order after
    /// what was published before. Returns at once; [`wait`](Self::wait) for the end.
    pub fn shutdown(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
        self.refuse_messages();
        self.engine.drain(Duration::ZERO);
    }

    /// Waits until it has ended, which is after a [`shutdown`](Self::shutdown) or a
    /// [`drain`](Self::drain): without one, never.
    pub fn wait(mut self) {
        self.join();
    }

    /// Changes who may do what from now on, all of it but the origins that may use the server (CORS), or,
    /// if there is a fault in it, nothing. Connections are counted on, and streams that have begun last as
    /// long as they were to.
    ///
    /// # Errors
    /// [`AccessError`] names the fault.
    ///
    /// ```
    /// use fanfare::{Server, server::{Access, Door}};
    ///
    /// let server = Server::builder().listen("127.0.0.1:0").cores(1).start()?;
    /// server.set_access(Access::new().publish(Door::Closed))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_access(&self, access: Access) -> Result<(), AccessError> {
        self.gates.exchange(access)
    }

    fn start_control(
        &self,
        arrivals: Arrivals,
        gates: Arc<Gates>,
        facades: Facades,
        admin: Option<TcpListener>,
    ) -> io::Result<Control> {
        let control = Arc::new(ControlCounters::default());
        let local = self.publisher.provider().local();
        let places = Places::of(local, &self.tuning.get().limits);
        let permits = Arc::new(Semaphore::new(places.connections));
        let cores: Vec<Arc<CoreCounters>> = self.engine.counters().cloned().collect();
        let sources = Sources {
            provider: local.cloned(),
            cores,
            control: Arc::clone(&control),
            control_permits: Arc::clone(&permits),
            control_places: places.connections,
        };
        let (tuning, is_draining) = (self.tuning.clone(), Arc::clone(&self.is_draining));
        let (driver, why) = (self.driver(), self.driver_reason());
        let stats = Stats::new(sources.clone(), driver, why, Arc::clone(&is_draining));
        let registry = metrics::registry(&driver.to_string(), why, sources);
        let desk = Desk::new(
            self.publisher(),
            control,
            registry,
            places,
            gates,
            tuning.clone(),
            is_draining,
        )
        .with_facades(facades);
        let admin =
            admin.map(|listener| admin::open(listener, self.engine.cores(), stats, desk.clone()));
        let (door, feed) = admin.unzip();
        let beside = feed.into_iter().chain(local.and_then(presence::start)).collect();
        let extras = Extras { door, beside };
        Control::start(routes::router(desk), permits, arrivals, tuning, extras)
    }

    /// Ends the control runtime's part.
    fn refuse_messages(&self) {
        // It may have been shut down before, by itself or by an earlier call.
        let _ = self.publisher.provider().shutdown();
        if let Some(control) = &self.control {
            control.shutdown();
        }
    }

    fn join(&mut self) {
        self.engine.wait();
        self.refuse_messages();
        if let Some(control) = self.control.take() {
            control.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown();
        self.join();
    }
}

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

impl ServerBuilder {
    /// Where to listen: the first address that `address` resolves to. Port 0 takes a free one.
    /// Default: 127.0.0.1:8080.
    #[must_use]
    pub fn listen(mut self, address: impl ToSocketAddrs) -> Self {
        self.listen = resolve(address);
        self
    }

    /// Where operators are answered, on a port of its own: a dashboard at `/`, `/stats` and
    /// `/stats/live`, `/connections`, which can be closed by `DELETE`, `/topics`, and the probes.
    /// Default: nowhere.
    ///
    /// Whoever reaches the address may use it: keep it on loopback, or on a network that is yours. A
    /// request for a host that is neither an IP address nor `localhost` is refused.
    ///
    /// ```
    /// let server = fanfare::Server::builder().listen("127.0.0.1:0").admin("127.0.0.1:0").start()?;
    /// println!("dashboard: http://{}/", server.admin_addr().expect("it was asked for"));
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    #[must_use]
    pub fn admin(mut self, address: impl ToSocketAddrs) -> Self {
        self.admin = Some(resolve(address));
        self
    }

    /// Threads that serve subscribers, at least one. Default: one per CPU that the process may use.
    #[must_use]
    pub fn cores(mut self, cores: usize) -> Self {
        self.cores = NonZeroUsize::new(cores.max(1));
        self
    }

    /// How to move bytes. Default: [`DriverChoice::Auto`].
    #[must_use]
    pub fn driver(mut self, driver: DriverChoice) -> Self {
        self.driver = driver;
        self
    }

    /// What to serve from. Default: a [`LocalProvider`] of its own, with this builder's history.
    ///
    /// Where it has a [Log](Provider::local), the cores serve its subscribers; otherwise each is an
    /// ordinary task, and there are at most [`limits::STREAMED_SUBSCRIPTIONS_MAX`].
    #[must_use]
    pub fn provider(mut self, provider: impl Provider) -> Self {
        self.publisher = Some(Publisher::new(provider));
        self
    }

    /// Most bytes of messages to retain, at least [`limits::HISTORY_BYTES_MIN`]. Default:
    /// [`limits::HISTORY_BYTES_DEFAULT`].
    #[must_use]
    pub fn history_bytes(mut self, bytes: usize) -> Self {
        self.local = self.local.history_bytes(bytes);
        self
    }

    /// What becomes of a subscriber that reads too slowly, unless it asks for something else. Default:
    /// [`LagPolicy::Disconnect`].
    #[must_use]
    pub fn lag(mut self, policy: LagPolicy) -> Self {
        self.local = self.local.lag(policy);
        self
    }

    /// How far a subscriber may lag, as [`LocalProviderBuilder::lag_bytes`] has it. Default: as far as
    /// the history.
    #[must_use]
    pub fn lag_bytes(mut self, bytes: u64) -> Self {
        self.local = self.local.lag_bytes(bytes);
        self
    }

    /// Tells on this topic how many subscribers the other topics have: an event of type
    /// [`PRESENCE_EVENT`](crate::provider::PRESENCE_EVENT) for each whose number has changed, once in
    /// [`limits::PRESENCE_INTERVAL`] at most. Whoever may subscribe to it learns the topics' names.
    /// Default: nowhere. A provider of one's own has its own setting for it.
    #[must_use]
    pub fn presence(mut self, topic: impl Into<String>) -> Self {
        self.presence = Some(topic.into());
        self
    }

    /// How often a stream on which nothing happens gets a comment, so that proxies keep it open and
    /// clients that are gone are found out; at least [`limits::HEARTBEAT_MIN`], and none is never.
    /// A stream is quiet for half as long again at most. Default: [`limits::HEARTBEAT_DEFAULT`].
    #[must_use]
    pub fn heartbeat(mut self, interval: Option<Duration>) -> Self {
        self.tuning.heartbeat = interval.map(|interval| interval.max(limits::HEARTBEAT_MIN));
        self
    }

    /// Limits other than the defaults; [`Server::reload`] changes some of them later. Default:
    /// [`Limits::default`].
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.tuning.limits = limits;
        self
    }

    /// How old a stream may become, a tenth more or less, before it ends in order and its client comes
    /// anew; at least [`limits::CONNECTION_AGE_MIN`]. It finds out clients that are gone behind a proxy
    /// that is not. Default: as old as it likes, because a client that has seen no event yet has no id to
    /// resume from, and misses what is published while it is away.
    #[must_use]
    pub fn connection_age(mut self, age: Option<Duration>) -> Self {
        self.connection_age = age.map(|age| age.max(limits::CONNECTION_AGE_MIN));
        self
    }

    /// Answers at the URLs of another system too, for those who move from it. Default: of none.
    ///
    /// ```
    /// use fanfare::{Server, server::Facade};
    ///
    /// let hub = Server::builder().listen("127.0.0.1:0").cores(1).facade(Facade::Mercure).start()?;
    /// println!("subscribe at http://{}/.well-known/mercure?topic=books", hub.local_addr());
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    #[must_use]
    pub fn facade(mut self, facade: Facade) -> Self {
        self.facades.add(facade);
        self
    }

    /// Who may subscribe and publish, and how much. Default: everybody may subscribe, and publish if the
    /// server listens on a loopback address.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Starts the server on threads of its own.
    ///
    /// # Errors
    /// [`StartError`] names what is wrong; nothing is left running then.
    pub fn start(self) -> Result<Server, StartError> {
        self.tuning.limits.check()?;
        let listen = self.listen.map_err(StartError::Address)?;
        let tuning = SharedTuning::new(self.tuning);
        let gates = Arc::new(Gates::new(self.access, listen, self.facades.has_mercure())?);
        let admin = self.admin.transpose().map_err(StartError::Address)?;
        let admin = admin.map(admin::listen).transpose()?;
        let admin_addr = admin.as_ref().and_then(|listener| listener.local_addr().ok());
        let publisher = publisher(self.publisher, self.local, self.presence)?;
        let local = publisher.provider().local().cloned();
        let (hand_over, handed_over) = mpsc::channel(limits::HAND_OVER_QUEUE);
        let (questions, asked) = mpsc::channel(limits::QUESTION_QUEUE);
        let options = EngineOptions {
            listen,
            cores: self.cores,
            driver: self.driver,
            tuning: tuning.clone(),
            age_max: self.connection_age,
            admission: Arc::new(Subscriptions::new(
                if local.is_some() { Place::OnCores } else { Place::InControl },
                self.facades.clone(),
                Arc::clone(&gates),
                tuning.clone(),
            )),
            hand_over,
            questions,
        };
        // Cores that serve nobody read an empty Log.
        let read = local.unwrap_or_else(|| LocalProvider::new(LogOptions::default()));
        let engine = Engine::start(options, &read)?;
        let mut server = Server {
            publisher,
            engine,
            tuning,
            is_draining: Arc::default(),
            gates: Arc::clone(&gates),
            admin_addr,
            control: None,
        };
        // From here on, dropping the server ends what runs.
        server.control = Some(
            server
                .start_control(Arrivals { handed_over, asked }, gates, self.facades, admin)
                .map_err(StartError::Control)?,
        );
        Ok(server)
    }
}

/// The one that was given, or that of a provider like this.
fn publisher(
    given: Option<Publisher>,
    local: LocalProviderBuilder,
    presence: Option<String>,
) -> Result<Publisher, StartError> {
    let local = match presence {
        Some(topic) => local.presence(&topic).map_err(StartError::Presence)?,
        None => local,
    };
    Ok(given.unwrap_or_else(|| Publisher::new(local.build())))
}

fn resolve(address: impl ToSocketAddrs) -> io::Result<SocketAddr> {
    let first = address.to_socket_addrs()?.next();
    first.ok_or_else(|| io::Error::other("the name has no address"))
}

#[cfg(test)]
mod tests;
