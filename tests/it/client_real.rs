//! Our client with real servers: ours, which is killed and whose connections are cut, and axum's.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::ops::Range;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::HeaderMap;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::routing::get;
use fanfare::client::{Backoff, Client, ConnectionHandle, Jitter, State};
use fanfare::sse::Event;
use futures_core::Stream;
use tokio::runtime::Runtime;

use crate::harness::{
    Connection, CuttingProxy, Driver, PATIENCE, Publisher, Server, eventually, post_request,
};

both_drivers!(
    each_event_comes_once_while_connections_are_cut,
    each_event_comes_at_most_once_and_a_killed_server_leaves_a_gap,
);

const TOPIC: &str = "real";

/// The type of the event in which our server says that something is missing.
const GAP: &str = "fanfare.gap";

/// A stream of our client, read on a runtime of its own.
struct Reader {
    handle: ConnectionHandle,
    seen: Arc<Mutex<Vec<Event>>>,
    opened: Arc<AtomicUsize>,
    comments: Arc<Mutex<Vec<String>>>,
    waits: Arc<Mutex<Vec<Duration>>>,
    _runtime: Runtime,
}

impl Reader {
    fn start(url: &str) -> Self {
        let waits = Arc::<Mutex<Vec<Duration>>>::default();
        let note = Arc::clone(&waits);
        let backoff = Backoff {
            initial_interval: Duration::from_millis(20),
            max_interval: Some(Duration::from_millis(100)),
            jitter: Jitter::Off,
            ..Backoff::default()
        };
        let client = Client::builder().backoff(backoff).on_retry(move |_, wait| {
            note.lock().unwrap_or_else(PoisonError::into_inner).push(wait);
        });
        let mut connection = client.build().expect("good settings").get(url).expect("a URL");
        let handle = connection.handle();
        let opened = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&opened);
        handle.on_state(move |state| {
            count.fetch_add(usize::from(state == State::Open), Ordering::SeqCst);
        });
        let comments = Arc::<Mutex<Vec<String>>>::default();
        let note = Arc::clone(&comments);
        handle.on_comment(move |comment| {
            note.lock().unwrap_or_else(PoisonError::into_inner).push(comment.trim().to_owned());
        });
        let seen = Arc::<Mutex<Vec<Event>>>::default();
        let sink = Arc::clone(&seen);
        let runtime = Runtime::new().expect("a runtime");
        runtime.spawn(async move {
            while let Some(event) = connection.next().await {
                let event = event.expect("nothing that happens here is permanent");
                sink.lock().unwrap_or_else(PoisonError::into_inner).push(event);
            }
        });
        Self { handle, seen, opened, comments, waits, _runtime: runtime }
    }

    fn of_topic(address: SocketAddr) -> Self {
        Self::start(&format!("http://{address}/events?topic={TOPIC}"))
    }

    fn seen(&self) -> Vec<Event> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until that many events have come.
    fn await_events(&self, count: usize) {
        let len = || self.seen.lock().unwrap_or_else(PoisonError::into_inner).len();
        eventually(&format!("{count} events"), || (len() >= count).then_some(()));
    }

    /// Waits until a message with that number has come.
    fn await_number(&self, number: u64) {
        let last = number.to_string();
        let has_come = || self.seen().iter().rev().any(|event| event.data() == last);
        eventually(&format!("message {number}"), || has_come().then_some(()));
    }
}

fn number(event: &Event) -> u64 {
    assert_eq!(event.event_type(), "message", "{event:?}");
    event.data().parse().unwrap_or_else(|_| panic!("no number: {event:?}"))
}

fn each_event_comes_once_while_connections_are_cut(driver: Driver) {
    const CUTS: usize = 12;
    // So many do not leave the history, however slow the reader is.
    const MESSAGES_MAX: u64 = 200_000;
    let server = Server::start(driver);
    let proxy = CuttingProxy::start(server.address());
    let reader = Reader::of_topic(proxy.address());
    server.await_subscribers(TOPIC, 1);
    let stop = AtomicBool::new(false);
    let published = thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            let mut publisher = Publisher::open(&server);
            let mut numbers = 0..MESSAGES_MAX;
            while !stop.load(Ordering::Relaxed) && !numbers.is_empty() {
                let batch: Vec<_> = numbers.by_ref().take(20).map(|n| n.to_string()).collect();
                publisher.pipelined(&[TOPIC], &batch);
                thread::sleep(Duration::from_millis(1));
            }
            numbers.start
        });
        // A panic here must still end the publisher, or the scope never does.
        let stop_at_the_end = StopOnDrop(&stop);
        for cut in 1..=CUTS {
            reader.await_events(reader.seen().len() + 100);
            assert!(proxy.cut() > 0, "there is a connection to cut");
            let reopened = || reader.opened.load(Ordering::SeqCst) > cut;
            eventually("it comes back", || reopened().then_some(()));
        }
        drop(stop_at_the_end);
        publishing.join().expect("the publisher lives")
    });
    reader.await_number(published - 1);
    let numbers: Vec<_> = reader.seen().iter().map(number).collect();
    assert!(numbers.iter().copied().eq(0..published), "each once and in order: {numbers:?}");
    reader.handle.close();
    server.await_subscribers(TOPIC, 0);
}

fn each_event_comes_at_most_once_and_a_killed_server_leaves_a_gap(driver: Driver) {
    const LIVES: usize = 5;
    let mut server = Server::start(driver);
    let reader = Reader::of_topic(server.address());
    server.await_subscribers(TOPIC, 1);
    let address = server.address();
    let mut lives: Vec<Range<u64>> = Vec::new();
    for _ in 1..LIVES {
        let first = lives.last().map_or(0, |life| life.end + 1);
        let publishing = thread::spawn(move || publish_until_refused(address, first));
        reader.await_events(reader.seen().len() + 200);
        server.restart();
        lives.push(first..publishing.join().expect("the publisher ends with the server"));
    }
    let first = lives.last().map_or(0, |life| life.end + 1);
    let mut publisher = Publisher::open(&server);
    (first..first + 100).for_each(|number| {
        publisher.text(&[TOPIC], &number.to_string());
    });
    lives.push(first..first + 100);
    reader.await_number(first + 99);

    let events = reader.seen();
    let mut rest = events.as_slice();
    for (life, published) in lives.iter().enumerate() {
        let gaps = rest.iter().take_while(|event| event.event_type() == GAP).count();
        assert_eq!(
            gaps,
            usize::from(life > 0),
            "life {life} begins with what is missing: {rest:?}"
        );
        rest = &rest[gaps..];
        let received = rest.iter().take_while(|event| event.event_type() != GAP).count();
        let (of_this_life, others) = rest.split_at(received);
        let numbers: Vec<_> = of_this_life.iter().map(number).collect();
        let expected = published.start..published.start + received as u64;
        assert!(numbers.iter().copied().eq(expected), "life {life}, {published:?}: {numbers:?}");
        // The last one published may have been taken without its publisher learning of it.
        assert!(published.start + received as u64 <= published.end + 1, "life {life}");
        rest = others;
    }
    assert_eq!(events.last().map(number), Some(first + 99), "the last life is received whole");
}

/// Publishes numbers, each once, until the server is gone; returns the one whose fate is unknown.
fn publish_until_refused(server: SocketAddr, first: u64) -> u64 {
    let mut connection = Connection::open(server);
    let mut numbers = first..;
    loop {
        let number = numbers.next().expect("they have no end");
        let request = post_request(
            &format!("/publish?topic={TOPIC}"),
            "text/plain",
            number.to_string().as_bytes(),
        );
        if connection.try_send(&request).is_err() || !is_accepted(&mut connection) {
            return number;
        }
    }
}

fn is_accepted(connection: &mut Connection) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !connection.received().trim_ascii_end().ends_with(b"}") {
        if !matches!(connection.fill(deadline), Ok(1..)) {
            return false;
        }
    }
    let answer = std::mem::take(connection.received());
    assert!(answer.starts_with(b"HTTP/1.1 202 "), "{}", String::from_utf8_lossy(&answer));
    true
}

/// Tells a thread to end, also when a test fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Events that axum is to write, after which the response ends or goes on in silence.
struct Written {
    events: VecDeque<sse::Event>,
    ends: bool,
}

impl Stream for Written {
    type Item = Result<sse::Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.events.pop_front() {
            None if !self.ends => Poll::Pending,
            event => Poll::Ready(event.map(Ok)),
        }
    }
}

/// The first response has all that axum can write; a later one says which id it was asked for.
async fn events(headers: HeaderMap) -> Sse<impl Stream<Item = Result<sse::Event, Infallible>>> {
    let event = sse::Event::default;
    let (events, ends) = match headers.get("Last-Event-ID") {
        None => {
            let greeting = event().id("7").event("greeting").data("two\nlines\n");
            let retry = event().retry(Duration::from_millis(60)).data("with a retry");
            let json = event().json_data(["é", "🎺"]).expect("it is JSON");
            // Of empty data axum writes no field, and a block without data is no event.
            (vec![event().comment("a comment"), greeting, retry, event().data(""), json], true)
        }
        Some(id) => {
            let id = id.to_str().expect("it is ASCII").to_owned();
            (vec![event().id("8").data(format!("after {id}"))], false)
        }
    };
    let keep_alive = KeepAlive::new().interval(Duration::from_millis(20)).text("still here");
    Sse::new(Written { events: events.into(), ends }).keep_alive(keep_alive)
}

#[test]
fn axums_events_are_read_as_they_were_written() {
    let runtime = Runtime::new().expect("a runtime");
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
    let listener = listener.expect("a free port");
    let url = format!("http://{}/events", listener.local_addr().expect("it is bound"));
    runtime.spawn(async move {
        axum::serve(listener, Router::new().route("/events", get(events))).await
    });

    let reader = Reader::start(&url);
    let expected = [
        ("greeting", "two\nlines\n", "7"),
        ("message", "with a retry", "7"),
        ("message", r#"["é","🎺"]"#, "7"),
        ("message", "after 7", "8"),
    ];
    reader.await_events(expected.len());
    let comments = || reader.comments.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let kept_alive = || comments().iter().filter(|comment| *comment == "still here").count() >= 3;
    eventually("comments while nothing happens", || kept_alive().then_some(()));
    assert_eq!(comments()[0], "a comment");
    let seen = reader.seen();
    let seen = seen.iter().map(|event| (event.event_type(), event.data(), event.last_event_id()));
    assert!(seen.eq(expected), "{:?}", reader.seen());
    let waits = reader.waits.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(waits, [Duration::from_millis(60)], "the server's own reconnection time");
}
