//! The cores over real sockets, each test over both drivers.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use super::*;
use crate::{
    http::RequestHead,
    limits,
    log::LogOptions,
    provider::{LocalProvider, SubscribeRequest},
    sse::Message,
};

/// Subscribes to the topics of the path, as in `/a/b`; anything else than GET is handed over.
#[derive(Debug)]
struct ByPath;

impl Admission for ByPath {
    fn admit(&self, head: &RequestHead<'_>, peer: Option<IpAddr>) -> Verdict {
        if head.method != "GET" {
            return Verdict::HandOver;
        }
        if let Some(wanted) = head.header("x-only-from") {
            let is_wanted = peer.is_some_and(|peer| peer.to_string().as_bytes() == wanted);
            let refusal = || Verdict::Refuse(crate::http::error(403, "from elsewhere"));
            return if is_wanted { Self::subscription(head) } else { refusal() };
        }
        Self::subscription(head)
    }

    fn needs_peer(&self) -> bool {
        true
    }
}

impl ByPath {
    fn subscription(head: &RequestHead<'_>) -> Verdict {
        let topics = head.path.split('/').filter(|topic| !topic.is_empty()).map(ToOwned::to_owned);
        let last_event_id =
            head.header("last-event-id").map(|id| String::from_utf8_lossy(id).into_owned());
        let topics = topics.collect();
        Verdict::Subscribe(SubscribeRequest { topics, last_event_id, lag: None }.into())
    }
}

struct Running {
    engine: Engine,
    provider: LocalProvider,
    handed_over: tokio::sync::mpsc::Receiver<HandedOver>,
}

fn on_both_drivers(test: impl Fn(Running)) {
    for driver in [DriverChoice::Uring, DriverChoice::Epoll] {
        if driver == DriverChoice::Uring && driver::Uring::probe().is_err() {
            println!("skipped: io_uring is denied here");
            assert!(std::env::var_os("CI").is_none(), "in CI nothing may be skipped");
            continue;
        }
        let provider = LocalProvider::new(LogOptions::default());
        let (hand_over, handed_over) = tokio::sync::mpsc::channel(8);
        let questions = tokio::sync::mpsc::channel(1).0;
        let options = EngineOptions {
            cores: std::num::NonZeroUsize::new(2),
            driver,
            ..EngineOptions::new(Arc::new(ByPath), hand_over, questions)
        };
        let engine = Engine::start(options, &provider).unwrap();
        test(Running { engine, provider, handed_over });
    }
}

fn get(address: SocketAddr, path: &str, headers: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(socket, "GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"));
    socket
}

/// Reads until `end` has come, and gives the data lines.
fn data_until(socket: &mut TcpStream, end: &str) -> Vec<String> {
    let mut lines = BufReader::with_capacity(256 * 1024, socket).lines();
    let mut data = Vec::new();
    while data.last().is_none_or(|last| last != end) {
        let line = lines.next().expect("the stream ended early").unwrap();
        data.extend(line.strip_prefix("data: ").map(ToOwned::to_owned));
    }
    data
}

#[test]
fn an_operator_sees_the_connections_and_closes_one() {
    on_both_drivers(|running| {
        let address = running.engine.local_addr();
        let cores = running.engine.cores();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let all = || {
            let pages = (0..2).map(|core| runtime.block_on(cores.page(core, 0)).unwrap());
            pages.flat_map(|page| page.connections).collect::<Vec<_>>()
        };
        assert!(all().is_empty());
        let mut staying = get(address, "/a", "");
        let mut leaving = get(address, "/b/c", "");
        let seen = all();
        assert_eq!(seen.len(), 2);
        let by_topics = |topics: &[&str]| seen.iter().find(|one| one.topics == topics).unwrap();
        let (stays, leaves) = (by_topics(&["a"]), by_topics(&["b", "c"]));
        assert_eq!((stays.state, stays.age_seconds), (ConnectionState::Live, 0));
        assert_eq!(stays.peer, Some([127, 0, 0, 1].into()));
        assert_eq!(runtime.block_on(cores.close(leaves.id)), Some(true));
        let mut rest = String::new();
        leaving.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "0\r\n\r\n", "it ends in order");
        assert_eq!(runtime.block_on(cores.close(leaves.id)), Some(false), "it has gone");
        assert_eq!(all().len(), 1);
        let ended = |core: &Arc<CoreCounters>| core.ends(EndReason::Operator).get();
        assert_eq!(cores.counters().map(ended).sum::<u64>(), 1);
        running.provider.publish(&Message::new("x"), &["a"]).unwrap();
        assert_eq!(data_until(&mut staying, "x"), ["x"]);
    });
}

#[test]
fn admission_is_told_where_a_request_comes_from() {
    on_both_drivers(|running| {
        let address = running.engine.local_addr();
        let mut stream = get(address, "/a", "X-Only-From: 127.0.0.1\r\n");
        running.provider.publish(&Message::new("hello"), &["a"]).unwrap();
        assert_eq!(data_until(&mut stream, "hello"), ["hello"]);
        let mut other = TcpStream::connect(address).unwrap();
        write!(other, "GET /a HTTP/1.1\r\nHost: x\r\nX-Only-From: 127.0.0.2\r\n\r\n").unwrap();
        let mut reply = String::new();
        other.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 403 "), "{reply}");
    });
}

#[test]
fn every_subscriber_gets_its_topics_once_and_in_order() {
    on_both_drivers(|running| {
        let address = running.engine.local_addr();
        let mut both: Vec<_> = (0..20).map(|_| get(address, "/a/b", "")).collect();
        let mut only_b = get(address, "/b", "");
        for n in 0..500 {
            let topics: &[&str] = match n % 3 {
                0 => &["a"],
                1 => &["a", "b"],
                _ => &["b"],
            };
            running.provider.publish(&Message::new(n.to_string()), topics).unwrap();
        }
        let expected: Vec<_> = (0..500).map(|n| n.to_string()).collect();
        for socket in &mut both {
            assert_eq!(data_until(socket, "499"), expected);
        }
        let expected: Vec<_> = (0..500).filter(|n| n % 3 != 0).map(|n| n.to_string()).collect();
        assert_eq!(data_until(&mut only_b, "499"), expected);
    });
}

#[test]
fn subscribers_with_a_topic_of_their_own_and_one_that_all_share_get_just_these() {
    on_both_drivers(|running| {
        let address = running.engine.local_addr();
        let mut sockets: Vec<_> =
            (0..60).map(|own| get(address, &format!("/own-{own}/all"), "")).collect();
        for n in 0..1200 {
            let topic = if n % 3 == 0 { "all".to_owned() } else { format!("own-{}", n % 60) };
            running.provider.publish(&Message::new(n.to_string()), &[&topic]).unwrap();
        }
        running.provider.publish(&Message::new("end"), &["all"]).unwrap();
        for (own, socket) in sockets.iter_mut().enumerate() {
            let wanted = (0..1200).filter(|n| n % 3 == 0 || n % 60 == own).map(|n| n.to_string());
            let expected: Vec<_> = wanted.chain(["end".to_owned()]).collect();
            assert_eq!(data_until(socket, "end"), expected);
        }
    });
}

#[test]
fn what_was_published_while_nobody_listened_is_replayed() {
    on_both_drivers(|running| {
        let address = running.engine.local_addr();
        let first = running.provider.publish(&Message::new("1"), &["a"]).unwrap().id().unwrap();
        running.provider.publish(&Message::new("2"), &["a"]).unwrap();
        let mut socket = get(address, "/a", &format!("Last-Event-ID: {first}\r\n"));
        assert_eq!(data_until(&mut socket, "2"), ["2"]);
        let mut socket = get(address, "/a", "Last-Event-ID: of another\r\n");
        let data = data_until(&mut socket, "2");
        assert!(data[0].contains("unknown"), "the gap is told first: {data:?}");
        assert_eq!(data[1..], ["1", "2"]);
    });
}

#[test]
fn who_resumes_while_others_publish_misses_nothing() {
    on_both_drivers(|running| {
        let address = running.engine.local_addr();
        let first = running.provider.publish(&Message::new("first"), &["a"]).unwrap().id().unwrap();
        let provider = running.provider;
        let publisher = std::thread::spawn(move || {
            for n in 0..20_000 {
                provider.publish(&Message::new(n.to_string()), &["a"]).unwrap();
                if n % 100 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        let expected: Vec<_> = (0..20_000).map(|n| n.to_string()).collect();
        let readers: Vec<_> = (0..8)
            .map(|nth| {
                let first = first.clone();
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(20 * nth));
                    let mut socket = get(address, "/a", &format!("Last-Event-ID: {first}\r\n"));
                    data_until(&mut socket, "19999")
                })
            })
            .collect();
        publisher.join().unwrap();
        for reader in readers {
            assert_eq!(reader.join().unwrap(), expected);
        }
    });
}

#[test]
fn a_subscriber_that_never_reads_is_cut_and_the_others_get_everything() {
    on_both_drivers(|running| {
        let address = running.engine.local_addr();
        let stalled = get(address, "/a", "");
        let mut healthy = get(address, "/a", "");
        let provider = running.provider.clone();
        let message = Message::new("x".repeat(limits::BODY_BYTES_MAX / 4));
        let reader = std::thread::spawn(move || data_until(&mut healthy, "end").len());
        // Twice the history overtakes whoever does not read.
        let count = 2 * limits::HISTORY_BYTES_DEFAULT / (limits::BODY_BYTES_MAX / 4);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for _ in 0..count {
            runtime.block_on(provider.ready());
            provider.publish(&message, &["a"]).unwrap();
        }
        provider.publish(&Message::new("end"), &["a"]).unwrap();
        assert_eq!(reader.join().unwrap(), count + 1);
        let cut = || {
            running.engine.counters().any(|core| {
                core.ends(EndReason::Overtaken).get() + core.ends(EndReason::Stalled).get() == 1
            })
        };
        while !cut() {
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(stalled);
    });
}

#[test]
fn what_is_no_subscription_is_handed_over_with_its_bytes() {
    on_both_drivers(|mut running| {
        let mut socket = TcpStream::connect(running.engine.local_addr()).unwrap();
        let request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody";
        socket.write_all(request).unwrap();
        let handed_over = running.handed_over.blocking_recv().unwrap();
        assert_eq!(handed_over.received, request);
        let mut other = TcpStream::from(handed_over.socket);
        other.write_all(b"still open").unwrap();
        let mut answer = [0; 10];
        socket.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"still open");
    });
}

#[test]
fn draining_gives_what_is_owed_and_the_last_chunk() {
    on_both_drivers(|mut running| {
        let mut socket = get(running.engine.local_addr(), "/a", "");
        running.provider.publish(&Message::new("last"), &["a"]).unwrap();
        running.engine.drain(Duration::ZERO);
        running.engine.wait();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        assert!(text.contains("data: last\n\n\r\n") && text.ends_with("0\r\n\r\n"), "{text:?}");
    });
}

#[test]
fn who_asks_a_core_that_has_ended_is_told_so() {
    on_both_drivers(|mut running| {
        let cores = running.engine.cores();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let page = || {
            let page =
                async { tokio::time::timeout(Duration::from_secs(10), cores.page(0, 0)).await };
            runtime.block_on(page).expect("an answer, or that there is none")
        };
        assert!(page().is_some());
        running.engine.drain(Duration::ZERO);
        running.engine.wait();
        assert!(page().is_none());
    });
}

#[test]
fn a_client_that_leaves_is_forgotten() {
    on_both_drivers(|running| {
        let sockets: Vec<_> = (0..50).map(|_| get(running.engine.local_addr(), "/a", "")).collect();
        assert_eq!(running.provider.subscribers("a"), 50);
        drop(sockets);
        while running.provider.subscribers("a") > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(running.provider.topics(), 0);
    });
}
