//! The routes: what is answered at which path, apart from publishing.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use prometheus_client::{encoding::text, registry::Registry};
use serde::Serialize;
use tokio::sync::Semaphore;

use super::{
    access::{Asked, Gates, Refusal},
    admission::EVENTS_PATH,
    event_stream::EventStream,
    facade::Facades,
    fault::Fault,
    metrics::ControlCounters,
    pages,
    publish::publish,
    selection,
};
use crate::{
    engine::SharedTuning,
    limits::{self, Limits},
    provider::{Closed, DEFAULT_TOPIC, LocalProvider, Publisher, SubscribeRequest},
};

/// What the handlers share. Clones are cheap.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub(super) publisher: Publisher,
    pub(super) counters: Arc<ControlCounters>,
    pub(super) facades: Facades,
    pub(super) gates: Arc<Gates>,
    registry: Arc<Registry>,
    subscriptions: Arc<Semaphore>,
    pub(super) tuning: SharedTuning,
    is_draining: Arc<AtomicBool>,
}

/// How many connections the control runtime has room for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub(super) connections: usize,
    /// How many of them may be event streams.
    pub(super) subscriptions: usize,
}

#[derive(Serialize)]
struct Subscribers {
    topic: String,
    subscribers: u32,
}

impl Places {
    /// Where the cores read the Log, few subscribers come here; without one, all of them do.
    pub(super) fn of(local: Option<&LocalProvider>, limits: &Limits) -> Self {
        match local {
            Some(_) => Self {
                connections: limits.control_connections,
                subscriptions: limits.control_subscriptions,
            },
            None => Self {
                connections: limits.control_connections + limits::STREAMED_SUBSCRIPTIONS_MAX,
                subscriptions: limits::STREAMED_SUBSCRIPTIONS_MAX,
            },
        }
    }
}

impl Desk {
    pub(super) fn new(
        publisher: Publisher,
        counters: Arc<ControlCounters>,
        registry: Registry,
        places: Places,
        gates: Arc<Gates>,
        tuning: SharedTuning,
        is_draining: Arc<AtomicBool>,
    ) -> Self {
        let subscriptions = Arc::new(Semaphore::new(places.subscriptions));
        let registry = Arc::new(registry);
        let facades = Facades::default();
        Self { publisher, counters, facades, gates, registry, subscriptions, tuning, is_draining }
    }

    /// Whether messages are taken. While the server drains they are not: subscribers that have left would
    /// never get them.
    pub(super) fn check_open(&self) -> Result<(), Fault> {
        if self.is_draining.load(Ordering::Relaxed) { Err(Closed.into()) } else { Ok(()) }
    }

    pub(super) fn with_facades(mut self, facades: Facades) -> Self {
        self.facades = facades;
        self
    }
}

/// Everything that is answered, at its path.
pub(super) fn router(desk: Desk) -> Router {
    let cors = desk.gates.current().cors_layer();
    let router = Router::new()
        .route("/", get(page))
        .route(EVENTS_PATH, get(events))
        .route("/publish", post(publish))
        .route("/subscribers", get(subscribers))
        .merge(probes())
        .merge(desk.facades.routes())
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(desk);
    match cors {
        Some(cors) => router.layer(cors),
        None => router,
    }
}

/// What is asked by programs that watch over the server.
pub(super) fn probes() -> Router<Desk> {
    Router::new()
        .route("/health", get("ok"))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
}

async fn page() -> Result<Response, Fault> {
    pages::answer(include_str!("page.html"))
}

/// A subscription asked for on a connection that is here already: as on the cores, but slower.
async fn events(State(desk): State<Desk>, request: Request) -> Result<Response, Refusal> {
    let (head, _) = request.into_parts();
    let last_event_ids = head.headers.get_all("last-event-id").iter();
    let selected = selection::subscription(
        selection::pairs(head.uri.query()),
        last_event_ids.map(HeaderValue::as_bytes),
    );
    open(&desk, &head, selected.map_err(Fault::from)?).await
}

/// Begins an event stream, which is the answer, if it may begin.
pub(super) async fn open(
    desk: &Desk,
    head: &Parts,
    selected: SubscribeRequest,
) -> Result<Response, Refusal> {
    if has_body(&head.headers) {
        return Err(Fault::from(selection::SelectionError::Body).into());
    }
    let tuning = desk.tuning.get();
    selection::check_within(&selected, &tuning.limits).map_err(Fault::from)?;
    let permit = Arc::clone(&desk.subscriptions).try_acquire_owned().map_err(|_| {
        Fault::new(StatusCode::SERVICE_UNAVAILABLE, "too many event streams: use a new connection")
    })?;
    let grant = desk.gates.current().subscribe(Asked::of_parts(head), selected).made().await?;
    let subscription = desk.publisher.provider().subscribe(&grant.request).map_err(Fault::from)?;
    let stream = EventStream::new(subscription, tuning.heartbeat, permit);
    let mut response = Response::new(Body::from_stream(stream.granted(grant.lasts, grant.held)));
    let headers = response.headers_mut();
    for (name, value) in grant.headers {
        headers.append(name, value);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    // In the app of somebody else there is HTTP/2, which knows no such header.
    if head.method != Method::HEAD && head.version < Version::HTTP_2 {
        // As on the cores, nothing that follows is read: a stream has no end to wait for.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|length| length != "0")
}

async fn subscribers(
    State(desk): State<Desk>,
    request: Request,
) -> Result<Json<Subscribers>, Fault> {
    let (head, _) = request.into_parts();
    let mut topics = selection::publish_topics(head.uri.query())?;
    let topic = topics.pop().unwrap_or_else(|| DEFAULT_TOPIC.to_owned());
    if !topics.is_empty() {
        return Err(Fault::bad_request("more than one topic"));
    }
    desk.gates.current().check_visible(&Asked::of_parts(&head), &topic)?;
    let local = desk.publisher.provider().local();
    let subscribers = local.map(|local| local.subscribers(&topic)).ok_or_else(|| {
        Fault::new(StatusCode::NOT_IMPLEMENTED, "this provider does not count its subscribers")
    })?;
    Ok(Json(Subscribers { topic, subscribers }))
}

async fn ready(State(desk): State<Desk>) -> Result<&'static str, Fault> {
    if desk.is_draining.load(Ordering::Relaxed) || desk.publisher.provider().is_closed() {
        return Err(Fault::new(StatusCode::SERVICE_UNAVAILABLE, "the server is shutting down"));
    }
    Ok("ready")
}

async fn metrics(State(desk): State<Desk>) -> Result<impl IntoResponse, Fault> {
    let mut page = String::new();
    text::encode(&mut page, &desk.registry).map_err(|_| {
        Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written")
    })?;
    Ok(([(header::CONTENT_TYPE, METRICS_TYPE)], page))
}

const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn unknown_path(request: Request) -> Response {
    if request.method() == Method::OPTIONS && request.uri().path() == "*" {
        return (StatusCode::NO_CONTENT, [(header::ALLOW, "GET, HEAD, POST")]).into_response();
    }
    Fault::unknown_path().into_response()
}

/// The router adds which methods are allowed.
pub(super) async fn wrong_method(request: Request) -> Response {
    if request.method() == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    let text = format!("method {} is not allowed here", request.method());
    Fault::new(StatusCode::METHOD_NOT_ALLOWED, text).into_response()
}
