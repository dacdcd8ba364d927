//! Who may do what: subscribe, publish, how often, and from which pages.
//!
//! [`Access`] is what an operator configures, `Gate` what decides. A request brings a token (or none)
//! in one of three ways (`credentials`), which is a static one (`tokens`) or signed (`jwt`), and has
//! `permissions`; `session` asks the operator's own code. What is open to everybody is decided on the
//! core at once; a signature or a callback is waited for elsewhere.
//!
//! What a peer is told of a refusal is constant text. The reason is in the log, at debug level.

mod credentials;
mod gate;
mod gates;
#[cfg(feature = "jwt")]
mod jwt;
mod origins;
mod permissions;
mod places;
mod rates;
mod refusal;
mod request;
mod session;
mod tokens;

use std::{
    fmt,
    future::Future,
    io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use ipnet::IpNet;

#[cfg(feature = "jwt")]
pub use self::jwt::Jwt;
use self::{credentials::Names, request::Proxies, session::OnSession};
pub(super) use self::{
    gate::{Decision, Gate, Grant, Held, PublishGrant},
    gates::Gates,
    refusal::{Refusal, write_headers},
    request::{Asked, Peer},
};
pub use self::{
    permissions::Permissions,
    rates::PublishRate,
    request::ForwardedHeader,
    session::{Admit, Reject, Session},
    tokens::StaticToken,
};

/// What whoever brings no token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Everything: all topics.
    Open,
    /// Nothing.
    Closed,
}

/// Who may subscribe and publish, and how much.
///
/// The default is for a machine of one's own: everybody may subscribe, and everybody may publish if the
/// server listens on a loopback address, nobody otherwise. With tokens of either kind nobody may do
/// anything without one, unless the doors are set.
///
/// ```
/// use fanfare::{
///     Server,
///     server::{Access, Door, Permissions, StaticToken},
/// };
///
/// let newsroom = Permissions::new(&["**"], &["news/**"])?;
/// let access = Access::new()
///     .subscribe(Door::Open)
///     .token(StaticToken::new("an-example-not-a-secret", newsroom)?);
/// let server = Server::builder().listen("127.0.0.1:0").cores(1).access(access).start()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Access {
    subscribe: Option<Door>,
    publish: Option<Door>,
    tokens: Vec<StaticToken>,
    #[cfg(feature = "jwt")]
    jwt: Option<Jwt>,
    on_session: Option<OnSession>,
    names: Names,
    origins: Vec<String>,
    proxies: Proxies,
    connections_per_ip: Option<usize>,
    connections_per_token: Option<usize>,
    publish_rate: Option<PublishRate>,
}

/// Why access is not as it is configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A static token, or a file of them, is faulty.
    #[error("a static token is faulty: {0}")]
    Token(String),
    /// More than [`crate::limits::STATIC_TOKENS_MAX`].
    #[error("{len} static tokens are more than {max}")]
    TooManyTokens {
        /// Tokens given.
        len: usize,
        /// The most there may be.
        max: usize,
    },
    /// A key that verifies signatures, or a file of them, is faulty.
    #[error("a key is faulty: {0}")]
    Key(String),
    /// JSON Web Tokens are wanted, and there is nothing to verify them with.
    #[error("there is no key to verify tokens with")]
    NoKey,
    /// An origin is not as browsers send it.
    #[error("an origin is faulty: {0}")]
    Origin(String),
    /// A trusted proxy is neither an address nor a network.
    #[error("{0:?} is no address and no network, as in 10.0.0.0/8")]
    Network(String),
}

impl Access {
    /// The default: see [`Access`].
    pub fn new() -> Self {
        Self {
            subscribe: None,
            publish: None,
            tokens: Vec::new(),
            #[cfg(feature = "jwt")]
            jwt: None,
            on_session: None,
            names: Names {
                cookie: "fanfare_token".into(),
                parameter: "access_token".into(),
                takes_mercures: false,
            },
            origins: Vec::new(),
            proxies: Proxies::default(),
            connections_per_ip: None,
            connections_per_token: None,
            publish_rate: None,
        }
    }

    /// Whether whoever brings no token may subscribe. Default: if there are no tokens.
    #[must_use]
    pub fn subscribe(mut self, door: Door) -> Self {
        self.subscribe = Some(door);
        self
    }

    /// Whether whoever brings no token may publish. Default: if there are no tokens, and the server
    /// listens on a loopback address.
    #[must_use]
    pub fn publish(mut self, door: Door) -> Self {
        self.publish = Some(door);
        self
    }

    /// Takes one more static token, at most [`crate::limits::STATIC_TOKENS_MAX`].
    #[must_use]
    pub fn token(mut self, token: StaticToken) -> Self {
        self.tokens.push(token);
        self
    }

    /// Takes JSON Web Tokens too.
    #[cfg(feature = "jwt")]
    #[must_use]
    pub fn jwt(mut self, jwt: Jwt) -> Self {
        self.jwt = Some(jwt);
        self
    }

    /// Asks this about each subscription that tokens and doors let pass. It may take as long as it likes:
    /// no core waits for it, and it is dropped if its client leaves. It runs on the control runtime, which
    /// has one thread, so whatever blocks belongs into [`tokio::task::spawn_blocking`].
    ///
    /// ```
    /// use fanfare::server::{Access, Admit, Reject, Session};
    /// use http::StatusCode;
    ///
    /// async fn user_of(session: &Session) -> Option<u32> {
    ///     // Asks a database …
    ///     session.headers().get("x-user")?.to_str().ok()?.parse().ok()
    /// }
    ///
    /// let access = Access::new().on_session(|session| async move {
    ///     match user_of(&session).await {
    ///         Some(user) => Ok(Admit::to(&[format!("users/{user}")])),
    ///         None => Err(Reject::new(StatusCode::FORBIDDEN, "who are you?")),
    ///     }
    /// });
    /// ```
    #[must_use]
    pub fn on_session<F, Fut>(mut self, callback: F) -> Self
    where
        F: Fn(Session) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Admit, Reject>> + Send + 'static,
    {
        self.on_session = Some(OnSession::new(callback));
        self
    }

    /// The name of the cookie that a token may be in. Default: `fanfare_token`. Such a token is believed
    /// only if the page that the request comes from is of this server, or of a [listed](Self::cors_origin)
    /// origin; to publish, the request must say which.
    #[must_use]
    pub fn cookie(mut self, name: impl Into<String>) -> Self {
        self.names.cookie = name.into();
        self
    }

    /// The name of the query parameter that a subscriber's token may be in, as `EventSource` cannot set a
    /// header. Default: `access_token`. Whatever logs addresses logs it.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>) -> Self {
        self.names.parameter = name.into();
        self
    }

    /// Takes tokens as Mercure has them, too.
    pub(super) fn with_mercures(mut self) -> Self {
        self.names.takes_mercures = true;
        #[cfg(feature = "jwt")]
        {
            self.jwt = self.jwt.map(Jwt::with_mercures);
        }
        self
    }

    /// Lets pages of one more origin use the server (CORS): `https://example.com`, or `*` for all, but
    /// without cookies. Default: its own alone.
    #[must_use]
    pub fn cors_origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// Believes what proxies of these addresses and networks write into a header about where requests
    /// come from. Default: none, and no header.
    ///
    /// # Errors
    /// [`AccessError::Network`] names the one that is neither.
    pub fn trusted_proxies(
        mut self,
        networks: &[impl AsRef<str>],
        header: ForwardedHeader,
    ) -> Result<Self, AccessError> {
        let networks = networks.iter().map(AsRef::as_ref);
        let parse = |text: &str| {
            let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| AccessError::Network(text.to_owned()))
        };
        self.proxies.trusted = networks.map(parse).collect::<Result<_, _>>()?;
        self.proxies.header = header;
        Ok(self)
    }

    /// Most event streams to one address, or to one network of 64 bits of IPv6. Each then costs some 100 B
    /// more. Default: no bound.
    #[must_use]
    pub fn connections_per_ip(mut self, connections: usize) -> Self {
        self.connections_per_ip = Some(connections);
        self
    }

    /// Most event streams with one token, or with all tokens of the same subject. Default: no bound.
    #[must_use]
    pub fn connections_per_token(mut self, connections: usize) -> Self {
        self.connections_per_token = Some(connections);
        self
    }

    /// How fast each publisher may publish. Default: no bound.
    #[must_use]
    pub fn publish_rate(mut self, rate: PublishRate) -> Self {
        self.publish_rate = Some(rate);
        self
    }
}

impl Default for Access {
    fn default() -> Self {
        Self::new()
    }
}

impl AccessError {
    fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Closed => "closed",
        })
    }
}
