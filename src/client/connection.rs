//! One logical stream: a small state machine that is moved on by whoever polls it.
//!
//! ```text
//! Idle ─► Requesting ─► Reading ─┐      a failure that can get better
//!             ▲  └───────────────┴──► Waiting ──┐
//!             └─────────────────────────────────┘
//! ```
//!
//! Every phase owns what it waits for, so leaving it, or dropping the connection, cancels that.

use std::{
    fmt,
    future::poll_fn,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use futures_core::Stream;
use http_body::Body;
use tokio::{
    task::coop,
    time::{self, Instant, Sleep},
};

use super::{
    backoff::{Asked, Schedule},
    builder::Settings,
    error::{ConnectionError, ErrorKind, Failure, Target},
    handle::{Command, ConnectionHandle, Shared, State},
    request::{self, Template},
};
use crate::{
    limits::{CLIENT_IDLE_GRACE, CLIENT_POLL_BYTES_MAX, CLIENT_PROVEN_AFTER},
    sse::{Dialect, Event, Item, ParseError, Parser},
};

type Requesting = Pin<Box<dyn Future<Output = Result<reqwest::Body, Failure>> + Send>>;

/// One logical stream with automatic reconnect: a `Stream` of events, which ends with one error if
/// the connection failed for good, and without if its handle closed it.
///
/// For good is a [permanent](ConnectionError::is_permanent) failure, or the last one when the
/// [`Backoff`](super::Backoff) is used up. Nothing is lost between connections that the server can
/// send again: each request says which event came last.
///
/// Nothing happens unless it is polled. Dropping it cancels a request, a wait or an open stream at
/// once, and closes its handles.
pub struct Connection {
    settings: Arc<Settings>,
    target: Target,
    template: Option<Template>,
    parser: Parser,
    schedule: Option<Schedule>,
    phase: Phase,
    shared: Arc<Shared>,
}

enum Phase {
    Idle,
    /// What was asked for cannot be sent.
    Refused(Option<Failure>),
    Requesting(Requesting),
    Reading(Box<Reading>),
    Waiting(Pin<Box<Sleep>>),
    Closed,
}

impl Connection {
    pub(super) fn new(settings: Arc<Settings>, request: http::Request<Bytes>) -> Self {
        let (target, template) = Template::new(&settings, request);
        let (template, phase) = match template {
            Ok(template) => (Some(template), Phase::Idle),
            Err(failure) => (None, Phase::Refused(Some(failure))),
        };
        let last_event_id = template.as_ref().map(Template::last_event_id).unwrap_or_default();
        let parser = settings.options.parser().resume_from(&last_event_id);
        let shared = Arc::new(Shared::new(last_event_id));
        Self { settings, target, template, parser, schedule: None, phase, shared }
    }

    /// A handle, to watch and control the connection from elsewhere.
    pub fn handle(&self) -> ConnectionHandle {
        ConnectionHandle::new(Arc::clone(&self.shared))
    }

    /// The next event; an error at most once, as the last item; none at the end.
    ///
    /// # Errors
    /// [`ConnectionError`]: the connection failed for good.
    ///
    /// # Cancellation
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Event, ConnectionError>> {
        poll_fn(|context| self.poll(context)).await
    }

    /// The time the server last asked its clients to wait before they reconnect, if it did.
    pub fn reconnection_time(&self) -> Option<Duration> {
        self.parser.reconnection_time()
    }

    /// Runs the connection to its end, for those who use callbacks only.
    ///
    /// # Errors
    /// [`ConnectionError`]: it failed for good. Closed by its handle, it returns without.
    pub async fn run(mut self) -> Result<(), ConnectionError> {
        while let Some(event) = self.next().await {
            event?;
        }
        Ok(())
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Event, ConnectionError>>> {
        // Events can be there without end; other tasks get their turn as with tokio's own channels.
        let coop = ready!(coop::poll_proceed(context));
        self.shared.wake_by(context.waker());
        let polled = self.drive(context);
        if polled.is_ready() {
            coop.made_progress();
        }
        polled
    }

    fn drive(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Event, ConnectionError>>> {
        let mut allowance = CLIENT_POLL_BYTES_MAX;
        loop {
            self.obey();
            let failure = match &mut self.phase {
                Phase::Closed => return Poll::Ready(None),
                Phase::Idle => {
                    self.begin();
                    continue;
                }
                Phase::Refused(failure) => failure.take(),
                Phase::Requesting(response) => match ready!(response.as_mut().poll(context)) {
                    Ok(body) => {
                        self.open(body);
                        continue;
                    }
                    Err(failure) => Some(failure),
                },
                Phase::Reading(reading) => {
                    let (parser, shared) = (&mut self.parser, &*self.shared);
                    match ready!(reading.poll(context, parser, shared, &mut allowance)) {
                        Ok(event) => match event.and_then(|event| self.deliver(event)) {
                            Some(event) => return Poll::Ready(Some(Ok(event))),
                            None => continue,
                        },
                        Err(failure) => Some(failure),
                    }
                }
                Phase::Waiting(sleep) => {
                    ready!(sleep.as_mut().poll(context));
                    self.request();
                    continue;
                }
            };
            if let Some(error) = failure.and_then(|failure| self.fail(failure)) {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }

    /// Does what a handle has asked for.
    fn obey(&mut self) {
        match (self.shared.take_command(), &self.phase) {
            (None, _) | (_, Phase::Closed) => {}
            (Some(Command::Close), _) => self.end(),
            (Some(Command::Reconnect), Phase::Idle | Phase::Refused(_)) => {}
            (Some(Command::Reconnect), _) => self.reconnect(),
        }
    }

    fn reconnect(&mut self) {
        // What is open is dropped before its successor begins.
        self.phase = Phase::Idle;
        if self.shared.state() == State::Open {
            self.shared.enter(State::Reconnecting);
        }
        self.request();
    }

    fn begin(&mut self) {
        self.schedule = Some(Schedule::new(self.settings.options.backoff, Instant::now()));
        self.shared.listeners.state(State::Connecting);
        self.request();
    }

    fn request(&mut self) {
        let Some(template) = &mut self.template else { return };
        template.set_last_event_id(self.parser.last_event_id());
        let (settings, template) = (Arc::clone(&self.settings), template.clone());
        self.phase = Phase::Requesting(Box::pin(async move {
            let limit = settings.options.response_timeout;
            let response = time::timeout(limit, request::send(settings, template)).await;
            response.unwrap_or_else(|_| {
                let what = format!("no complete response head within {limit:?}");
                Err(Failure::new(ErrorKind::ResponseTimeout, what))
            })
        }));
    }

    fn open(&mut self, body: reqwest::Body) {
        self.parser.restart();
        let idle = self.settings.options.read_idle_timeout.map(IdleClock::new);
        self.phase = Phase::Reading(Box::new(Reading::new(body, idle)));
        self.shared.enter(State::Open);
    }

    /// Runs the callbacks, and gives the event back unless one of them closed the connection.
    fn deliver(&mut self, event: Event) -> Option<Event> {
        let unnamed = match self.settings.options.dialect {
            Dialect::Standard => event.event_type() == "message",
            Dialect::GoSse => event.event_type().is_empty(),
        };
        self.shared.listeners.event(&event, unnamed, || self.shared.is_closing());
        (!self.shared.is_closing()).then_some(event)
    }

    /// Waits for another try, or ends with the error.
    fn fail(&mut self, failure: Failure) -> Option<ConnectionError> {
        let before = mem::replace(&mut self.phase, Phase::Idle);
        if self.shared.is_closing() {
            // The next look at the commands ends it, and silently.
            return None;
        }
        let error = ConnectionError::new(self.target.clone(), failure);
        let Some(wait) = self.wait_after(&before, &error) else {
            drop(before);
            self.end();
            return Some(error);
        };
        drop(before);
        tracing::debug!(%error, ?wait, "reconnecting");
        if let Some(on_retry) = &self.settings.options.on_retry {
            on_retry(&error, wait);
        }
        if !self.shared.is_closing() {
            self.shared.enter(State::Reconnecting);
        }
        self.phase = Phase::Waiting(Box::pin(time::sleep(wait)));
        None
    }

    fn wait_after(&mut self, before: &Phase, error: &ConnectionError) -> Option<Duration> {
        if error.is_permanent() {
            return None;
        }
        let now = Instant::now();
        let schedule = self.schedule.as_mut()?;
        if matches!(before, Phase::Reading(reading) if reading.has_proved_itself(now)) {
            schedule.reset(now);
        }
        let asked = Asked {
            reconnection_time: self.parser.reconnection_time(),
            retry_after: error.retry_after(),
        };
        schedule.next_wait(now, asked, fastrand::f64())
    }

    /// Lets go of everything, and tells so.
    fn end(&mut self) {
        self.phase = Phase::Closed;
        self.shared.enter(State::Closed);
        self.shared.listeners.end();
    }
}

impl Stream for Connection {
    type Item = Result<Event, ConnectionError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(context)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.abandon();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("target", &self.target)
            .field("state", &self.shared.state())
            .finish_non_exhaustive()
    }
}

/// An open stream.
struct Reading {
    body: reqwest::Body,
    /// What has arrived of it and is not yet parsed.
    chunk: Bytes,
    ended: bool,
    since: Instant,
    had_event: bool,
    /// What the parser was last told about comments.
    comments: Option<bool>,
    idle: Option<IdleClock>,
}

impl Reading {
    fn new(body: reqwest::Body, idle: Option<IdleClock>) -> Self {
        Self {
            body,
            chunk: Bytes::new(),
            ended: false,
            since: Instant::now(),
            had_event: false,
            comments: None,
            idle,
        }
    }

    fn has_proved_itself(&self, now: Instant) -> bool {
        self.had_event || now.saturating_duration_since(self.since) >= CLIENT_PROVEN_AFTER
    }

    /// The next event, or none where a comment's callback asked for something else.
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        parser: &mut Parser,
        shared: &Shared,
        allowance: &mut usize,
    ) -> Poll<Result<Option<Event>, Failure>> {
        loop {
            self.heed_comments(parser, shared);
            match self.parse(parser, shared)? {
                Parsed::Event(event) => return Poll::Ready(Ok(Some(event))),
                Parsed::Comment if shared.has_command() => return Poll::Ready(Ok(None)),
                Parsed::Comment => continue,
                Parsed::Nothing => {}
            }
            if self.ended {
                return Poll::Ready(Err(Failure::new(ErrorKind::Ended, "the stream ended")));
            }
            if *allowance == 0 {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            match ready!(self.poll_body(context))? {
                Some(chunk) => {
                    // An empty chunk is work, too.
                    *allowance = allowance.saturating_sub(chunk.len().max(1));
                    self.chunk = chunk;
                }
                None => {
                    self.ended = true;
                    if let Some(event) = finish(parser)? {
                        self.had_event = true;
                        shared.set_last_event_id(parser.last_event_id());
                        return Poll::Ready(Ok(Some(event)));
                    }
                }
            }
        }
    }

    fn heed_comments(&mut self, parser: &mut Parser, shared: &Shared) {
        let wanted = shared.listeners.want_comments();
        if self.comments != Some(wanted) {
            self.comments = Some(wanted);
            *parser = mem::take(parser).comments(wanted);
        }
    }

    fn parse(&mut self, parser: &mut Parser, shared: &Shared) -> Result<Parsed, Failure> {
        let mut rest = &self.chunk[..];
        let item = parser.next(&mut rest).map_err(unparsable)?;
        let taken = self.chunk.len() - rest.len();
        let parsed = match item {
            Some(Item::Event(event)) => Parsed::Event(event.to_event()),
            Some(Item::Comment(text)) => {
                shared.listeners.comment(text, || shared.is_closing());
                Parsed::Comment
            }
            None => Parsed::Nothing,
        };
        self.chunk.advance(taken);
        self.had_event |= matches!(parsed, Parsed::Event(_));
        // An id without data makes no event.
        shared.set_last_event_id(parser.last_event_id());
        Ok(parsed)
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Failure>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
                let Some(idle) = &mut self.idle else { return Poll::Pending };
                ready!(idle.poll(context));
                let what = format!("nothing arrived for {:?}", idle.limit);
                return Poll::Ready(Err(Failure::new(ErrorKind::ReadIdle, what)));
            };
            if let Some(idle) = &mut self.idle {
                idle.stop();
            }
            match frame.transpose() {
                Ok(Some(frame)) => match frame.into_data() {
                    Ok(chunk) => return Poll::Ready(Ok(Some(chunk))),
                    // Trailers say nothing about events.
                    Err(_) => continue,
                },
                Ok(None) => return Poll::Ready(Ok(None)),
                Err(error) => {
                    let failure = Failure::new(ErrorKind::Read, "the stream broke off");
                    return Poll::Ready(Err(failure.caused_by(error.without_url())));
                }
            }
        }
    }
}

enum Parsed {
    Event(Event),
    Comment,
    Nothing,
}

fn finish(parser: &mut Parser) -> Result<Option<Event>, Failure> {
    let event = parser.finish().map_err(unparsable)?;
    Ok(event.map(Event::from))
}

fn unparsable(error: ParseError) -> Failure {
    Failure::new(ErrorKind::Parse, "the stream cannot be parsed").caused_by(error)
}

/// Measures how long nothing arrives, beginning when the body was first found empty: time in which
/// the caller does something else is not the server's.
struct IdleClock {
    limit: Duration,
    sleep: Pin<Box<Sleep>>,
    running: Running,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Running {
    No,
    Limit,
    /// The limit has passed; what came while the runtime was busy elsewhere gets a last chance.
    Grace,
}

impl IdleClock {
    fn new(limit: Duration) -> Self {
        Self { limit, sleep: Box::pin(time::sleep(limit)), running: Running::No }
    }

    fn stop(&mut self) {
        self.running = Running::No;
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.running == Running::No {
            self.set(Running::Limit, self.limit);
        }
        ready!(self.sleep.as_mut().poll(context));
        if self.running == Running::Limit {
            self.set(Running::Grace, CLIENT_IDLE_GRACE);
            ready!(self.sleep.as_mut().poll(context));
        }
        Poll::Ready(())
    }

    fn set(&mut self, running: Running, after: Duration) {
        self.running = running;
        // Without an end that a clock could show, it is as it was made: in the far future.
        if let Some(end) = Instant::now().checked_add(after) {
            self.sleep.as_mut().reset(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, task::Waker};

    use http_body::Frame;

    use super::*;

    /// A body that is always there, and never makes an event.
    struct Endless(&'static str);

    impl Body for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(self.0.as_bytes())))))
        }
    }

    #[test]
    fn one_poll_reads_no_more_than_its_allowance() {
        let shared = Shared::new(String::new());
        let (mut parser, mut context) = (Parser::new(), Context::from_waker(Waker::noop()));
        for text in ["", ": comment\n", "id: 7\n\n"] {
            let mut reading = Reading::new(reqwest::Body::wrap(Endless(text)), None);
            let mut allowance = 1000;
            let polled = reading.poll(&mut context, &mut parser, &shared, &mut allowance);
            assert!(polled.is_pending(), "{text:?}");
            assert_eq!(allowance, 0);
        }
    }
}
