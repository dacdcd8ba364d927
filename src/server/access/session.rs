//! The operator's own word on each subscription: `on_session`.

use std::{fmt, future::Future, net::IpAddr, pin::Pin, time::Duration};

use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use bytes::Bytes;
use tokio::task::JoinSet;

use super::request::Asked;
use crate::{limits, provider::SubscribeRequest};

/// A subscription that is asked for, as an `on_session` callback gets it.
#[derive(Clone, Debug)]
pub struct Session {
    pub(super) asked: Asked,
    pub(super) address: Option<IpAddr>,
    pub(super) request: SubscribeRequest,
    pub(super) subject: Option<String>,
}

impl Session {
    /// The path of the request, as sent.
    pub fn path(&self) -> &str {
        &self.asked.path
    }

    /// The query of the request, as sent.
    pub fn query(&self) -> Option<&str> {
        self.asked.query.as_deref()
    }

    /// The headers of the request.
    pub fn headers(&self) -> &HeaderMap {
        &self.asked.headers
    }

    /// Where the request comes from: the peer, or what a trusted proxy says of it. None where the
    /// kernel does not say, which is when the peer has left already.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// The topics and patterns that are asked for.
    pub fn topics(&self) -> &[String] {
        &self.request.topics
    }

    /// The last event that the client has seen, if it says so.
    pub fn last_event_id(&self) -> Option<&str> {
        self.request.last_event_id.as_deref()
    }

    /// Whom the token was made for, where one was brought that says so, and is believed.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }
}

/// The answer of an `on_session` callback that lets the subscription begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admit {
    pub(super) topics: Option<Vec<String>>,
    pub(super) last_event_id: Option<String>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) lasts: Option<Duration>,
}

impl Admit {
    /// To the topics that were asked for.
    pub fn as_asked() -> Self {
        Self::default()
    }

    /// To these topics and patterns instead, whatever a token says of them; none is the default topic.
    pub fn to(topics: &[impl AsRef<str>]) -> Self {
        let topics = topics.iter().map(|topic| topic.as_ref().to_owned()).collect();
        Self { topics: Some(topics), ..Self::default() }
    }

    /// After this event instead of the one that the client says it has seen last.
    #[must_use]
    pub fn after(mut self, last_event_id: impl Into<String>) -> Self {
        self.last_event_id = Some(last_event_id.into());
        self
    }

    /// With one more header in the head of the stream. Those that make it an event stream are the
    /// server's own, and passed over: `Content-Type`, `Content-Length`, `Transfer-Encoding`,
    /// `Connection`, `Cache-Control`. There is room for [`limits::SESSION_HEADER_BYTES_MAX`].
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        append(&mut self.headers, name, value);
        self
    }

    /// Ends the stream after this time, or when its token expires if that is sooner; at most
    /// [`limits::SESSION_MAX`].
    #[must_use]
    pub fn lasts(mut self, time: Duration) -> Self {
        self.lasts = Some(time);
        self
    }
}

/// The answer of an `on_session` callback that refuses the subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
}

impl Reject {
    /// With this status and this body, of plain text unless a header says something else.
    ///
    /// A browser's `EventSource` gives up for good after any of them.
    pub fn new(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// With one more header. Those that frame the body are the server's own, and passed over:
    /// `Content-Length`, `Transfer-Encoding`, `Connection`.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        if name == header::CONTENT_TYPE || name == header::CACHE_CONTROL {
            self.headers.push((name, value));
        } else {
            append(&mut self.headers, name, value);
        }
        self
    }
}

fn append(headers: &mut Vec<(HeaderName, HeaderValue)>, name: HeaderName, value: HeaderValue) {
    const OWN: [HeaderName; 6] = [
        header::CONTENT_TYPE,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::CACHE_CONTROL,
        header::UPGRADE,
    ];
    if !OWN.contains(&name) {
        headers.push((name, value));
    }
}

pub(super) type Answer = Result<Admit, Reject>;

type AnswerFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// An `on_session` callback.
pub(super) struct OnSession(Box<dyn Fn(Session) -> AnswerFuture + Send + Sync>);

/// A callback did not come to an answer that can be used. It is told to the operator, not to the peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SessionFault {
    #[error("on_session panicked")]
    Panicked,
    #[error("on_session has given topics that cannot be subscribed to: {0}")]
    Topics(#[from] crate::provider::SubscribeError),
    #[error("on_session has given headers over {} bytes", limits::SESSION_HEADER_BYTES_MAX)]
    Headers,
}

impl OnSession {
    pub(super) fn new<F, Fut>(callback: F) -> Self
    where
        F: Fn(Session) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        Self(Box::new(move |session| Box::pin(callback(session))))
    }

    /// Asks it, in a task of its own: a panic is the end of that one alone, and it is cancelled when
    /// nobody waits any more.
    pub(super) async fn ask(&self, session: Session) -> Result<Answer, SessionFault> {
        let mut task = JoinSet::new();
        let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (self.0)(session)));
        task.spawn(answer.map_err(|_| SessionFault::Panicked)?);
        let Some(Ok(answer)) = task.join_next().await else { return Err(SessionFault::Panicked) };
        let headers = match &answer {
            Ok(admit) => &admit.headers,
            Err(reject) => &reject.headers,
        };
        let bytes: usize =
            headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if bytes > limits::SESSION_HEADER_BYTES_MAX {
            return Err(SessionFault::Headers);
        }
        Ok(answer)
    }
}

impl Admit {
    /// What is subscribed to.
    pub(super) fn apply(
        &self,
        mut request: SubscribeRequest,
    ) -> Result<SubscribeRequest, SessionFault> {
        if let Some(topics) = &self.topics {
            request.topics.clone_from(topics);
            if request.topics.is_empty() {
                request.topics.push(crate::provider::DEFAULT_TOPIC.to_owned());
            }
        }
        if self.last_event_id.is_some() {
            request.last_event_id.clone_from(&self.last_event_id);
        }
        request.check()?;
        Ok(request)
    }
}

impl fmt::Debug for OnSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnSession").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        let (path, query) = ("/events".into(), Some("topic=a".into()));
        let asked = Asked { path, query, headers: HeaderMap::new(), peer: None };
        Session { asked, address: None, request: SubscribeRequest::to(&["a"]), subject: None }
    }

    #[tokio::test]
    async fn a_callback_that_panics_is_a_fault_and_not_the_end() {
        let sync = OnSession::new(|_| -> std::future::Ready<Answer> { panic!("in the callback") });
        assert_eq!(sync.ask(session()).await, Err(SessionFault::Panicked));
        let later = OnSession::new(|_| async { panic!("in its future") });
        assert_eq!(later.ask(session()).await, Err(SessionFault::Panicked));
    }

    #[tokio::test]
    async fn headers_have_a_bound_and_framing_is_not_theirs() {
        let of = |len: usize| {
            OnSession::new(move |_| async move {
                let value = HeaderValue::from_str(&"v".repeat(len)).unwrap();
                Ok(Admit::as_asked().header(HeaderName::from_static("name"), value))
            })
        };
        let most = limits::SESSION_HEADER_BYTES_MAX - "name".len();
        assert!(of(most).ask(session()).await.is_ok());
        assert_eq!(of(most + 1).ask(session()).await, Err(SessionFault::Headers));
        let mine = HeaderValue::from_static("mine");
        for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONTENT_TYPE] {
            assert_eq!(Admit::as_asked().header(name, mine.clone()), Admit::as_asked());
        }
        let reject = Reject::new(StatusCode::FORBIDDEN, "no");
        assert_eq!(reject.clone().header(header::CONTENT_LENGTH, mine.clone()), reject);
        assert_eq!(reject.header(header::CONTENT_TYPE, mine).headers.len(), 1);
    }

    #[test]
    fn topics_are_as_asked_or_others_and_checked() {
        let asked = || SubscribeRequest::to(&["a"]).after("7");
        assert_eq!(Admit::as_asked().apply(asked()), Ok(asked()));
        let others = Admit::to(&["b", "c/*"]).after("8").apply(asked());
        assert_eq!(others, Ok(SubscribeRequest::to(&["b", "c/*"]).after("8")));
        let none = Admit::to(&[""; 0]).apply(asked()).unwrap();
        assert_eq!(none.topics, [crate::provider::DEFAULT_TOPIC]);
        assert!(matches!(Admit::to(&["a/**/b"]).apply(asked()), Err(SessionFault::Topics(_))));
    }
}
