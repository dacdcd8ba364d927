//! Verdicts that take time, and streams that end at theirs, over a driver that does as it is told.

use std::{
    future::{Future, poll_fn},
    net::IpAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::{
    admission::{Admission, Admitted, Answer, Asked, Question, Ticket, Verdict},
    connection::EndReason,
    core::Core,
    driver::{Event, Watch},
    scripted_tests::{PLENTY, SOCKET, Scripted, core_with, received, request, turns},
};
use crate::{
    http::{LAST_CHUNK, RequestHead, error},
    limits,
    log::LogOptions,
    provider::{LocalProvider, SubscribeRequest},
    sse::Message,
};

/// Asks about every request, and does what its path says. Counts the tickets that are out.
#[derive(Debug, Default)]
struct Slow {
    tickets: Arc<AtomicUsize>,
}

struct Held(Arc<AtomicUsize>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Slow {
    fn decide(&self, path: &str) -> Answer {
        if path == "/refused" {
            return Answer::Refuse(error(403, "not here"));
        }
        self.tickets.fetch_add(1, Ordering::Relaxed);
        Answer::Subscribe(Admitted {
            request: SubscribeRequest::to(&["a"]),
            headers: b"X-Seen: yes\r\n".to_vec(),
            lasts: path
                .strip_prefix("/lasts/")
                .map(|secs| Duration::from_secs(secs.parse().unwrap())),
            ticket: Some(Ticket::new(Held(Arc::clone(&self.tickets)))),
        })
    }
}

impl Admission for Slow {
    fn admit(&self, head: &RequestHead<'_>, _: Option<IpAddr>) -> Verdict {
        let answer = self.decide(head.path);
        Verdict::Ask(Question::new(async { answer }))
    }
}

struct Scene {
    core: Core<Scripted>,
    asked: tokio::sync::mpsc::Receiver<Asked>,
    provider: LocalProvider,
    tickets: Arc<AtomicUsize>,
    start: Instant,
}

impl Scene {
    /// A request for this path has come, and waits.
    fn new(path: &str) -> Self {
        let provider = LocalProvider::new(LogOptions::default());
        let admission = Slow::default();
        let tickets = Arc::clone(&admission.tickets);
        let (questions, asked) = tokio::sync::mpsc::channel(1);
        let start = Instant::now();
        let mut core = core_with(&provider, Arc::new(admission), questions);
        request(&mut core, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"), start);
        Self { core, asked, provider, tickets, start }
    }

    fn answer(&mut self, after: Duration) {
        let asked = self.asked.try_recv().expect("a question was asked");
        assert_eq!(poll_once(asked.run()), Poll::Ready(()));
        turns(&mut self.core, self.start + after);
    }

    fn tickets(&self) -> usize {
        self.tickets.load(Ordering::Relaxed)
    }

    fn ends(&self, reason: EndReason) -> u64 {
        self.core.context.counters.ends(reason).get()
    }
}

fn poll_once<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_verdict_may_take_longer_than_a_head() {
    let mut scene = Scene::new("/a");
    let after = 2 * limits::HEAD_DEADLINE;
    turns(&mut scene.core, scene.start + after);
    assert!(scene.core.driver.closed.is_empty(), "it waits for us, not we for it");
    scene.answer(after);
    let head = received(&mut scene.core);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("\r\nX-Seen: yes\r\n"));
    scene.provider.publish(&Message::new("hello"), &["a"]).unwrap();
    turns(&mut scene.core, scene.start + after);
    assert!(received(&mut scene.core).contains("data: hello"));

    // The timer of its head is long gone: it gets another when it takes nothing.
    scene.core.driver.room = 0;
    scene.provider.publish(&Message::new("more"), &["a"]).unwrap();
    turns(&mut scene.core, scene.start + after);
    turns(&mut scene.core, scene.start + after + limits::WRITE_STALL_DEADLINE);
    assert_eq!(scene.ends(EndReason::Stalled), 1);
    assert_eq!(scene.tickets(), 0, "the ticket goes with the connection");
}

#[test]
fn who_takes_nothing_of_its_answer_is_cut() {
    let mut scene = Scene::new("/a");
    let after = 2 * limits::HEAD_DEADLINE;
    turns(&mut scene.core, scene.start + after);
    scene.core.driver.room = 0;
    scene.answer(after);
    turns(&mut scene.core, scene.start + after + limits::WRITE_STALL_DEADLINE);
    assert_eq!(scene.ends(EndReason::Stalled), 1);
}

#[test]
fn a_refusal_that_took_time_is_told() {
    let mut scene = Scene::new("/refused");
    scene.answer(Duration::from_secs(1));
    assert!(received(&mut scene.core).starts_with("HTTP/1.1 403 "));
    turns(&mut scene.core, scene.start + Duration::from_secs(1) + limits::REFUSED_DEADLINE);
    assert_eq!(scene.ends(EndReason::Refused), 1);
}

#[test]
fn a_question_without_an_answer_is_a_refusal() {
    let mut scene = Scene::new("/a");
    drop(scene.asked.try_recv().unwrap());
    turns(&mut scene.core, scene.start);
    assert!(received(&mut scene.core).starts_with("HTTP/1.1 500 "));
}

#[test]
fn who_leaves_is_not_decided_about() {
    let mut scene = Scene::new("/a");
    scene.core.happen(Event::Ready(SOCKET, Watch::Leave));
    turns(&mut scene.core, scene.start);
    assert_eq!((scene.ends(EndReason::Left), scene.core.connections.len()), (1, 0));
    let asked = scene.asked.try_recv().unwrap();
    assert_eq!(poll_once(asked.run()), Poll::Ready(()));
    turns(&mut scene.core, scene.start);
    assert_eq!(scene.tickets(), 0, "the answer is dropped unseen");
    assert_eq!(scene.core.context.counters.subscribed.get(), 0);
}

#[test]
fn too_many_questions_are_refused() {
    let mut scene = Scene::new("/a");
    let second = request(&mut scene.core, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", scene.start);
    assert_eq!(second.slot, 1);
    let told = String::from_utf8(scene.core.driver.sent_to(second)).unwrap();
    assert!(told.starts_with("HTTP/1.1 503 "), "{told}");
}

#[test]
fn a_stream_ends_in_order_when_its_time_is_up() {
    let mut scene = Scene::new("/lasts/60");
    scene.answer(Duration::ZERO);
    scene.provider.publish(&Message::new("hello"), &["a"]).unwrap();
    let just_before = Duration::from_secs(60) - Duration::from_millis(1);
    turns(&mut scene.core, scene.start + just_before);
    assert!(scene.core.driver.closed.is_empty());
    received(&mut scene.core);
    // What comes at that moment comes too late.
    turns(&mut scene.core, scene.start + Duration::from_secs(60));
    assert_eq!(received(&mut scene.core).as_bytes(), LAST_CHUNK);
    assert_eq!((scene.ends(EndReason::Expired), scene.tickets()), (1, 0));
    assert_eq!(scene.core.leases.len(), 0);
}

#[test]
fn a_lagging_stream_is_cut_when_its_time_is_up() {
    let mut scene = Scene::new("/lasts/5");
    scene.answer(Duration::ZERO);
    scene.core.driver.room = 10;
    scene.provider.publish(&Message::new("hello"), &["a"]).unwrap();
    turns(&mut scene.core, scene.start);
    scene.core.driver.room = PLENTY;
    received(&mut scene.core);
    turns(&mut scene.core, scene.start + Duration::from_secs(5));
    assert_eq!(received(&mut scene.core), "", "half an event has no end");
    assert_eq!(scene.ends(EndReason::Expired), 1);
}

/// A week of tokens of an hour: every stream ends at its time, and nothing is left of any.
#[test]
fn a_week_of_tokens_leaves_nothing() {
    let mut scene = Scene::new("/lasts/3600");
    let week = 7 * 24;
    for hour in 0..week {
        let now = Duration::from_secs(3600 * hour);
        scene.answer(now);
        assert_eq!((scene.tickets(), scene.core.leases.len()), (1, 1));
        let end = scene.start + now + Duration::from_secs(3600);
        turns(&mut scene.core, end - Duration::from_millis(1));
        assert_eq!(scene.ends(EndReason::Expired), hour);
        turns(&mut scene.core, end);
        assert_eq!(scene.ends(EndReason::Expired), hour + 1);
        request(&mut scene.core, "GET /lasts/3600 HTTP/1.1\r\nHost: x\r\n\r\n", end);
    }
    assert_eq!(scene.core.leases.len(), 0);
    assert_eq!(scene.core.connections.len(), 1, "the one that waits");
}

/// The questions run side by side on whatever runs them.
#[tokio::test]
async fn a_question_that_hangs_ends_when_its_peer_leaves() {
    let mut scene = Scene::new("/a");
    let asked = scene.asked.try_recv().unwrap();
    let hangs = asked.with(Question::new(poll_fn(|_| Poll::Pending)));
    let running = tokio::spawn(hangs.run());
    tokio::task::yield_now().await;
    assert!(!running.is_finished());
    scene.core.happen(Event::Ready(SOCKET, Watch::Leave));
    turns(&mut scene.core, scene.start);
    running.await.unwrap();
}
