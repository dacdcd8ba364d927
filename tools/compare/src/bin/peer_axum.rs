//! A peer of the comparison: what a Rust developer writes first, axum's `Sse` over a tokio broadcast channel.
//!
//! `peer_axum ADDRESS` serves `GET /events` and `POST /publish`. There is one topic and no replay. What
//! is in its favour: an event is formatted once, when it is published; one thread, as it is
//! given one CPU; Nagle's algorithm is off; Fanfare's allocator.
#![forbid(unsafe_code)]

use std::{
    convert::Infallible,
    env, io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::sse::{Event, KeepAlive, Sse},
    routing::{get, post},
    serve::ListenerExt,
};
use tokio::{net::TcpListener, sync::broadcast};
use tokio_stream::{Stream, StreamExt, wrappers::BroadcastStream};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Events that a subscriber may be behind before it misses some: 8 s at 2,000 a second.
const BUFFERED: usize = 16_384;

#[derive(Clone)]
struct App {
    events: broadcast::Sender<Event>,
    published: Arc<AtomicU64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).ok_or_else(|| io::Error::other("usage: peer_axum ADDRESS"))?;
    let app = App { events: broadcast::channel(BUFFERED).0, published: Arc::default() };
    let router = Router::new()
        .route("/events", get(subscribe))
        .route("/publish", post(publish))
        .with_state(app);
    let listener = TcpListener::bind(address).await?.tap_io(|connection| {
        // Without it a small event waits for the acknowledgement of the one before.
        let _ = connection.set_nodelay(true);
    });
    axum::serve(listener, router).await
}

async fn subscribe(State(app): State<App>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    // Who is too far behind misses events, and the load tester's audit sees it.
    let events = BroadcastStream::new(app.events.subscribe()).filter_map(Result::ok).map(Ok);
    Sse::new(events).keep_alive(KeepAlive::default())
}

async fn publish(State(app): State<App>, data: String) -> StatusCode {
    if data.contains('\r') {
        // `Event::data` panics at one.
        return StatusCode::BAD_REQUEST;
    }
    let id = app.published.fetch_add(1, Ordering::Relaxed);
    // An error only says that nobody listens.
    let _ = app.events.send(Event::default().id(id.to_string()).data(data));
    StatusCode::ACCEPTED
}
