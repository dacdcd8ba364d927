//! The client's settings, and connections made with them.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, StatusCode};
use reqwest::{Url, redirect::Policy};

use super::{
    backoff::Backoff, connection::Connection, error::ConnectionError, request::is_http,
    response::ResponseHead,
};
use crate::{
    limits::{CLIENT_RESPONSE_DEADLINE, STREAM_EVENT_BYTES_MAX_DEFAULT},
    sse::{Dialect, Parser},
};

type Validator = dyn Fn(&ResponseHead<'_>) -> Result<(), String> + Send + Sync;
type OnRetry = dyn Fn(&ConnectionError, Duration) + Send + Sync;

/// Makes [`Connection`]s that share settings, a connection pool and TLS state. Cloning is cheap.
///
/// ```
/// use fanfare::Client;
///
/// let connection = Client::new()?.get("https://example.com/events?topic=news")?;
/// assert_eq!(connection.handle().last_event_id(), "");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    settings: Arc<Settings>,
}

impl Client {
    /// A client with the default settings.
    ///
    /// # Errors
    /// See [`ClientBuilder::build`].
    pub fn new() -> Result<Self, BuildError> {
        Self::builder().build()
    }

    /// A client with other settings.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// A stream from `url`, as the [`connect`](Self::connect) of a GET request.
    ///
    /// # Errors
    /// [`InvalidUrl`] if it is not an absolute URL of HTTP or HTTPS.
    pub fn get(&self, url: &str) -> Result<Connection, InvalidUrl> {
        let url = Url::parse(url).map_err(InvalidUrl::because)?;
        if !is_http(&url) {
            return Err(InvalidUrl::because(format_args!("its scheme is {}", url.scheme())));
        }
        let mut request = http::Request::new(Bytes::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = url.as_str().parse().map_err(InvalidUrl::because)?;
        Ok(self.connect(request))
    }

    /// A stream from what `request` asks for: its method, URI, headers and body are sent anew with
    /// each attempt. Nothing is sent before the [`Connection`] is polled.
    ///
    /// `Accept` and `Cache-Control` are added where they are missing. A `Last-Event-ID` is where the
    /// stream begins; it is kept until an event brings another one. A URI that is not absolute is a
    /// connection's first and last error, [`ErrorKind::Request`](super::ErrorKind::Request).
    ///
    /// ```
    /// use fanfare::Client;
    ///
    /// let prompt = r#"{"prompt":"Why is the sky blue?","stream":true}"#;
    /// let request = http::Request::post("https://example.com/completions")
    ///     .header("Content-Type", "application/json")
    ///     .header("Last-Event-ID", "token-17")
    ///     .body(prompt.into())?;
    /// let connection = Client::new()?.connect(request);
    /// assert_eq!(connection.handle().last_event_id(), "token-17");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn connect(&self, request: http::Request<Bytes>) -> Connection {
        Connection::new(Arc::clone(&self.settings), request)
    }
}

/// Settings of a [`Client`]; each has a default.
///
/// ```
/// use std::time::Duration;
/// use fanfare::{Client, client::Backoff};
/// use http::StatusCode;
///
/// let client = Client::builder()
///     .backoff(Backoff { max_elapsed: Some(Duration::from_secs(300)), ..Backoff::default() })
///     .retry_statuses([StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE])
///     .read_idle_timeout(Duration::from_secs(45))
///     .on_retry(|error, wait| eprintln!("{error}; again in {wait:?}"))
///     .build()?;
/// # let _ = client;
/// # Ok::<(), fanfare::client::BuildError>(())
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct ClientBuilder {
    http: Option<reqwest::Client>,
    options: Options,
}

impl ClientBuilder {
    /// Sends requests with `client`, as it is: its redirects, proxies, timeouts and default headers
    /// apply. A total timeout of its own ends every stream after that time, and reqwest 0.13 sends
    /// credentials again on a second redirect at another origin; with
    /// [`Policy::none`](reqwest::redirect::Policy::none) a redirect is an error.
    ///
    /// Default: one of ours, with the system's proxies and certificates, which follows up to
    /// [`REDIRECTS_MAX`](crate::limits::REDIRECTS_MAX) redirects and takes credentials (user
    /// information, `Authorization`, `Cookie`) to no other origin.
    pub fn http_client(mut self, client: reqwest::Client) -> Self {
        self.http = Some(client);
        self
    }

    /// When to try again. Default: [`Backoff::default`].
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.options.backoff = backoff;
        self
    }

    /// Statuses that are tried again, such as 429 and 503; a `Retry-After` in seconds is then the
    /// least wait, up to [`RECONNECTION_TIME_MAX`](crate::limits::RECONNECTION_TIME_MAX). Default:
    /// none, as in browsers. A redirect (3xx) is never one.
    pub fn retry_statuses(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.options.retry_statuses = statuses.into_iter().collect();
        self
    }

    /// Decides which responses are read; the reason of a refusal is in the error's text. It replaces
    /// the default: status 200 and media type `text/event-stream`. Redirects and retryable statuses
    /// are dealt with before.
    ///
    /// ```
    /// use fanfare::Client;
    ///
    /// let client = Client::builder()
    ///     .validator(|head| match head.status().is_success() && head.is_event_stream() {
    ///         true => Ok(()),
    ///         false => Err(format!("status {} is no stream", head.status())),
    ///     })
    ///     .build()?;
    /// # let _ = client;
    /// # Ok::<(), fanfare::client::BuildError>(())
    /// ```
    pub fn validator(
        mut self,
        f: impl Fn(&ResponseHead<'_>) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.options.validator = Some(Arc::new(f));
        self
    }

    /// Calls `f` before each wait, with what failed and how long the wait is. Default: nothing.
    pub fn on_retry(
        mut self,
        f: impl Fn(&ConnectionError, Duration) + Send + Sync + 'static,
    ) -> Self {
        self.options.on_retry = Some(Arc::new(f));
        self
    }

    /// How long a request may take until its response head is complete, connecting and redirects
    /// included. Default: [`CLIENT_RESPONSE_DEADLINE`], where the bounds of a head are told too.
    pub fn response_timeout(mut self, limit: Duration) -> Self {
        self.options.response_timeout = limit;
        self
    }

    /// How long nothing at all may arrive on an open stream; any byte counts, of a comment or a blank
    /// line too. Time in which the stream is not polled for more does not count. Default: no limit.
    pub fn read_idle_timeout(mut self, limit: Duration) -> Self {
        self.options.read_idle_timeout = Some(limit);
        self
    }

    /// Most bytes of an event, and of a line. Default: [`STREAM_EVENT_BYTES_MAX_DEFAULT`].
    pub fn event_bytes_max(mut self, max: usize) -> Self {
        self.options.event_bytes_max = max;
        self
    }

    /// Whose reading of the format to follow. Default: [`Dialect::Standard`].
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.options.dialect = dialect;
        self
    }

    /// The client.
    ///
    /// # Errors
    /// [`BuildError`] if the [`Backoff`] makes no sense, or TLS cannot be set up: where the system
    /// has no certificates, for one.
    pub fn build(self) -> Result<Client, BuildError> {
        if let Some(fault) = self.options.backoff.fault() {
            return Err(BuildError::Backoff(fault));
        }
        let follows_redirects = self.http.is_none();
        let http = self.http.map_or_else(http_client, Ok)?;
        let settings = Settings { http, follows_redirects, options: self.options };
        Ok(Client { settings: Arc::new(settings) })
    }
}

/// Redirects are ours to follow: see `request`. A stream that the server compresses would be held
/// back, and nothing here asks for it, whatever features of reqwest others turn on.
fn http_client() -> Result<reqwest::Client, BuildError> {
    let builder = reqwest::Client::builder().redirect(Policy::none()).referer(false);
    let builder = builder.no_gzip().no_brotli().no_zstd().no_deflate();
    builder.build().map_err(BuildError::Http)
}

/// Settings as all connections of a client share them.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) http: reqwest::Client,
    /// Whether the HTTP client leaves redirects to us.
    pub(super) follows_redirects: bool,
    pub(super) options: Options,
}

/// The settings that are not about HTTP.
pub(super) struct Options {
    pub(super) backoff: Backoff,
    pub(super) retry_statuses: Vec<StatusCode>,
    pub(super) validator: Option<Arc<Validator>>,
    pub(super) on_retry: Option<Arc<OnRetry>>,
    pub(super) response_timeout: Duration,
    pub(super) read_idle_timeout: Option<Duration>,
    pub(super) event_bytes_max: usize,
    pub(super) dialect: Dialect,
}

impl Options {
    pub(super) fn parser(&self) -> Parser {
        Parser::new()
            .line_bytes_max(self.event_bytes_max)
            .event_bytes_max(self.event_bytes_max)
            .dialect(self.dialect)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            backoff: Backoff::default(),
            retry_statuses: Vec::new(),
            validator: None,
            on_retry: None,
            response_timeout: CLIENT_RESPONSE_DEADLINE,
            read_idle_timeout: None,
            event_bytes_max: STREAM_EVENT_BYTES_MAX_DEFAULT,
            dialect: Dialect::default(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("backoff", &self.backoff)
            .field("retry_statuses", &self.retry_statuses)
            .field("validator", &self.validator.is_some())
            .field("on_retry", &self.on_retry.is_some())
            .field("response_timeout", &self.response_timeout)
            .field("read_idle_timeout", &self.read_idle_timeout)
            .field("event_bytes_max", &self.event_bytes_max)
            .field("dialect", &self.dialect)
            .finish()
    }
}

/// Why there is no [`Client`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The caller's [`Backoff`] makes no sense.
    #[error("backoff: {0}")]
    Backoff(&'static str),
    /// The HTTP client cannot be set up.
    #[error("the HTTP client cannot be set up")]
    Http(#[source] reqwest::Error),
}

/// The caller's URL cannot be asked for an event stream.
///
/// ```
/// use fanfare::Client;
///
/// let fault = Client::new()?.get("ftp://example.com/").unwrap_err();
/// assert_eq!(fault.to_string(), "not an absolute URL of HTTP or HTTPS: its scheme is ftp");
/// # Ok::<(), fanfare::client::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an absolute URL of HTTP or HTTPS: {why}")]
pub struct InvalidUrl {
    why: String,
}

impl InvalidUrl {
    fn because(why: impl fmt::Display) -> Self {
        Self { why: why.to_string() }
    }
}
