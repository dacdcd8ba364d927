//! A server drains while another takes over, and subscribers come through a proxy: whoever was there
//! comes back, is told that the server is another one, and has every message that either accepted.
//!
//! `FANFARE_TEST_SUBSCRIBERS=5000 cargo test --test it take_over -- --nocapture` has more of
//! them, and prints how long it took.

use std::env;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fanfare::client::{Client, State};
use fanfare::sse::Event;
use tokio::runtime::Runtime;

use super::in_front_of;
use super::proxy::{Kind, Proxy};
use crate::harness::{Connection, Driver, Options, Server, alone, eventually, free_address, skip};

both_drivers!(
    a_second_server_takes_over_behind_nginx,
    a_server_is_replaced_behind_nginx,
    a_server_is_replaced_behind_caddy,
    a_server_is_replaced_behind_haproxy,
);

const TOPIC: &str = "taken over";

/// The type of the event in which a server says that it is another one.
const GAP: &str = "fanfare.gap";

/// To all subscribers together: the machine is to be busy with who comes back.
const DELIVERIES_PER_SECOND: usize = 5_000;

/// How long nobody listens where one server follows another on the same port.
const ABSENCE: Duration = Duration::from_secs(1);

fn a_second_server_takes_over_behind_nginx(driver: Driver) {
    if let Some(missing) = Kind::Nginx.missing() {
        return skip(&missing);
    }
    let _turn = alone();
    let (mut first, second) = (Options::new(driver).start(), Options::new(driver).start());
    let proxy = Proxy::start(Kind::Nginx, [first.address(), second.address()]);
    let crowd = Crowd::subscribe(&first, &proxy, subscribers(500));
    let publisher = Publishing::start(&proxy, &crowd);
    publisher.await_more(20);
    let begun = Instant::now();
    end(&mut first, &publisher);
    crowd.audit(&second, publisher, begun);
}

fn a_server_is_replaced_behind_nginx(driver: Driver) {
    a_server_is_replaced_behind(Kind::Nginx, driver);
}

fn a_server_is_replaced_behind_caddy(driver: Driver) {
    a_server_is_replaced_behind(Kind::Caddy, driver);
}

fn a_server_is_replaced_behind_haproxy(driver: Driver) {
    a_server_is_replaced_behind(Kind::Haproxy, driver);
}

/// One after the other on the same port, with a while in between in which nobody is there.
fn a_server_is_replaced_behind(kind: Kind, driver: Driver) {
    if let Some(missing) = kind.missing() {
        return skip(&missing);
    }
    let address = free_address();
    let start = || Options::new(driver).listen(&address).start();
    let mut first = start();
    let proxy = in_front_of(&first, kind);
    let crowd = Crowd::subscribe(&first, &proxy, subscribers(100));
    let publisher = Publishing::start(&proxy, &crowd);
    publisher.await_more(20);
    let begun = Instant::now();
    end(&mut first, &publisher);
    drop(first);
    thread::sleep(ABSENCE);
    crowd.audit(&start(), publisher, begun);
}

/// Ends a server as a service manager does. Until it refuses connections nothing is published: whoever has
/// left would not have it.
fn end(server: &mut Server, publisher: &Publishing) {
    let held = publisher.hold();
    server.signal();
    eventually("it takes no connections", || TcpStream::connect(server.address()).err());
    drop(held);
    let status = server.ended();
    assert!(status.success(), "{status}");
}

fn subscribers(usual: usize) -> usize {
    let asked = env::var("FANFARE_TEST_SUBSCRIBERS").ok();
    asked.map_or(usual, |count| count.parse().expect("a number of subscribers"))
}

/// Subscribers that come back by themselves, each a task.
struct Crowd {
    members: Vec<Arc<Member>>,
    _runtime: Runtime,
}

/// What one of them has seen.
#[derive(Default)]
struct Member {
    numbers: Mutex<Vec<u64>>,
    opened: AtomicUsize,
    gaps: AtomicUsize,
    failed: AtomicBool,
}

impl Crowd {
    fn subscribe(server: &Server, proxy: &Proxy, count: usize) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let client = Client::new().expect("the defaults are good");
        let url = proxy.url(&format!("/events?topic={}", TOPIC.replace(' ', "+")));
        let join = |_| {
            let member = Arc::<Member>::default();
            runtime.spawn(Arc::clone(&member).follow(client.clone(), url.clone()));
            member
        };
        let members = (0..count).map(join).collect();
        server.await_subscribers(TOPIC, count as u64);
        Self { members, _runtime: runtime }
    }

    /// Waits until all are at the second server, and have what was accepted by either.
    fn audit(self, second: &Server, publisher: Publishing, begun: Instant) {
        let all = self.members.len();
        second.await_subscribers(TOPIC, all as u64);
        let back = begun.elapsed();
        publisher.await_more(20);
        let (accepted, refused) = publisher.stop();
        let last = accepted.last().copied();
        for member in &self.members {
            eventually("the last message reaches everybody", || {
                let numbers = member.numbers();
                (numbers.iter().copied().rfind(|number| accepted.contains(number)) == last)
                    .then_some(())
            });
            // A refused one may have been published all the same: its answer was lost.
            let mut numbers = member.numbers();
            numbers.retain(|number| accepted.contains(number));
            assert!(numbers == accepted, "{numbers:?} instead of {accepted:?}");
            assert!(!member.failed.load(Ordering::SeqCst), "nobody gives up");
            assert_eq!(member.gaps.load(Ordering::SeqCst), 1, "each is told once");
        }
        let opened: usize = self.members.iter().map(|m| m.opened.load(Ordering::SeqCst)).sum();
        println!(
            "{all} subscribers came back within {:.1} s of SIGTERM, over {} connections; {} messages \
             accepted and delivered to each, {refused} refused",
            back.as_secs_f64(),
            opened - all,
            accepted.len(),
        );
    }
}

impl Member {
    async fn follow(self: Arc<Self>, client: Client, url: String) {
        let mut connection = client.get(&url).expect("a URL");
        let member = Arc::clone(&self);
        connection.handle().on_state(move |state| {
            member.opened.fetch_add(usize::from(state == State::Open), Ordering::SeqCst);
        });
        while let Some(event) = connection.next().await {
            match event {
                Ok(event) => self.note(&event),
                Err(_) => self.failed.store(true, Ordering::SeqCst),
            }
        }
    }

    fn note(&self, event: &Event) {
        if event.event_type() == GAP {
            self.gaps.fetch_add(1, Ordering::SeqCst);
            return;
        }
        let number = event.data().parse().expect("the messages are numbers");
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).push(number);
    }

    fn numbers(&self) -> Vec<u64> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Somebody who publishes through the proxy all the while, and goes on with the next number where one
/// is refused.
struct Publishing {
    accepted: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    turn: Arc<Mutex<()>>,
    thread: thread::JoinHandle<(Vec<u64>, usize)>,
}

impl Publishing {
    fn start(proxy: &Proxy, crowd: &Crowd) -> Self {
        let pause =
            Duration::from_secs(1) * crowd.members.len() as u32 / DELIVERIES_PER_SECOND as u32;
        let (accepted, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let turn = Arc::<Mutex<()>>::default();
        let (count, stopped, mine) = (Arc::clone(&accepted), Arc::clone(&stop), Arc::clone(&turn));
        let address = proxy.address();
        let thread = thread::spawn(move || {
            let (mut accepted, mut refused) = (Vec::new(), 0);
            for number in 0.. {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let target = format!("/publish?topic={}", TOPIC.replace(' ', "+"));
                let held = mine.lock().unwrap_or_else(PoisonError::into_inner);
                let mut connection = Connection::open(address);
                let answer = connection.post(&target, "text/plain", number.to_string().as_bytes());
                drop(held);
                if answer.status == 202 {
                    accepted.push(number);
                    count.fetch_add(1, Ordering::SeqCst);
                } else {
                    refused += 1;
                }
                thread::sleep(pause);
            }
            (accepted, refused)
        });
        Self { accepted, stop, turn, thread }
    }

    /// Nothing is published, nor on its way, as long as it is held.
    fn hold(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until so many more are accepted.
    fn await_more(&self, count: u64) {
        let before = self.accepted.load(Ordering::SeqCst);
        eventually("messages are accepted", || {
            (self.accepted.load(Ordering::SeqCst) >= before + count).then_some(())
        });
    }

    /// The numbers that were accepted, in order, and how many were not.
    fn stop(self) -> (Vec<u64>, usize) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("it panics nowhere")
    }
}
