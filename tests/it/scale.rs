//! Many subscribers at once, and many that vanish at once.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use rustix::process::{Resource, getrlimit};

use crate::harness::{Driver, Options, Publisher, Server, Subscriber, alone, skip};

both_drivers!(
    ten_thousand_subscribers_get_every_message,
    the_usual_soft_file_limit_is_not_the_limit,
    too_many_subscribers_are_told_so_and_harm_nobody,
    half_of_the_subscribers_killed_during_a_broadcast_leave_the_rest_whole,
);

/// Set for a process that only subscribes, until it is killed: the address to subscribe at.
const CROWD_ADDRESS: &str = "FANFARE_TEST_CROWD_ADDRESS";

/// How many subscribers such a process has.
const CROWD: usize = 200;

fn ten_thousand_subscribers_get_every_message(driver: Driver) {
    const SUBSCRIBERS: usize = 10_000;
    const MESSAGES: u64 = 20;
    const SPARE_FILES: u64 = 1_000;
    let _turn = alone();
    let server = Server::start(driver);
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if files < SUBSCRIBERS as u64 + SPARE_FILES {
        return skip(&format!("10,000 sockets need more than the {files} files allowed here"));
    }
    // In groups, so that the listen queue never overflows.
    let mut subscribers = Vec::with_capacity(SUBSCRIBERS);
    while subscribers.len() < SUBSCRIBERS {
        let group: Vec<_> = (0..500).map(|_| Subscriber::send(&server, &["crowd"])).collect();
        subscribers.extend(group.into_iter().map(|pending| pending.accepted()));
    }
    assert_eq!(server.subscribers("crowd"), SUBSCRIBERS as u64);

    let mut publisher = Publisher::open(&server);
    for number in 0..MESSAGES {
        let receipt = publisher.text(&["crowd"], &number.to_string());
        assert_eq!(receipt.subscribers, SUBSCRIBERS as u64);
    }
    for subscriber in &mut subscribers {
        for number in 0..MESSAGES {
            assert_eq!(subscriber.next().number(), number);
        }
    }
    drop(subscribers);
    server.await_subscribers("crowd", 0);
}

fn the_usual_soft_file_limit_is_not_the_limit(driver: Driver) {
    const SUBSCRIBERS: usize = 2_000;
    let _turn = alone();
    // What a shell gives on most machines; what is allowed beyond it is for the asking.
    let server = Options::new(driver).after("ulimit -S -n 1024").start();
    let files = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    if files < 2 * SUBSCRIBERS as u64 {
        return skip(&format!("2,000 subscribers need more than the {files} files allowed here"));
    }
    let sent: Vec<_> = (0..SUBSCRIBERS).map(|_| Subscriber::send(&server, &["many"])).collect();
    let mut subscribers: Vec<_> = sent.into_iter().map(|sent| sent.accepted()).collect();
    assert_eq!(server.publish(&["many"], "to all").subscribers, SUBSCRIBERS as u64);
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.next().data(), "to all");
    }
}

fn too_many_subscribers_are_told_so_and_harm_nobody(driver: Driver) {
    const ATTEMPTS: usize = 1_000;
    let server = Options::new(driver).after("ulimit -n 512").start();
    let mut publisher = Publisher::open(&server);
    publisher.text(&["full"], "its connection is handed over while there is room");
    let mut subscribers = Vec::new();
    for _ in 0..ATTEMPTS {
        match Subscriber::send(&server, &["full"]).answered() {
            Ok(subscriber) => subscribers.push(subscriber),
            Err(refusal) => assert_eq!(refusal.status, 503),
        }
    }
    assert!(subscribers.len() >= 100, "{} of 512 files are of use", subscribers.len());
    let receipt = publisher.text(&["full"], "to all who are in");
    assert_eq!(receipt.subscribers, subscribers.len() as u64);
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.next().data(), "to all who are in");
    }
    drop(subscribers);
    server.await_subscribers("full", 0);
    Subscriber::open(&server, &["full"]);
}

/// Where memory that may be locked is short there is no ring, and whoever did not insist is served.
#[test]
fn where_no_memory_may_be_locked_epoll_serves_and_the_banner_says_why() {
    let server = Options::automatic().after(NO_LOCKED_MEMORY).start();
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()));
    let status = status.expect("the server lives");
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).expect("CapEff");
    let effective = u64::from_str_radix(effective, 16).expect("hexadecimal");
    assert_eq!(effective & 1 << CAP_IPC_LOCK, 0, "the limit holds for it");
    let banner = server.banner();
    // Older kernels don't count it.
    if banner.contains("epoll") {
        assert!(banner.contains("RLIMIT_MEMLOCK"), "{banner}");
    }
    let mut subscriber = Subscriber::open(&server, &["m"]);
    let receipt = server.publish(&["m"], "served");
    assert_eq!(subscriber.next().id(), receipt.id);
}

/// Root may lock as much as it likes, unless it is not allowed to.
const NO_LOCKED_MEMORY: &str = "ulimit -l 0 && if [ $(id -u) = 0 ]; then \
    exec setpriv --bounding-set=-ipc_lock \"$0\" \"$@\"; fi";

/// See `capabilities(7)`.
const CAP_IPC_LOCK: u32 = 14;

fn half_of_the_subscribers_killed_during_a_broadcast_leave_the_rest_whole(driver: Driver) {
    const MESSAGES: u64 = 3_000;
    const KILL_AT: u64 = MESSAGES / 3;
    let server = Server::start(driver);
    let mut crowd = Crowd::subscribe(server.address());
    let rest: Vec<_> = (0..CROWD).map(|_| Subscriber::open(&server, &["crowd"])).collect();
    let all = 2 * CROWD as u64;
    server.await_subscribers("crowd", all);

    let (reached, kill_now) = mpsc::channel();
    let rest: Vec<_> = thread::scope(|scope| {
        let mut publisher = Publisher::open(&server);
        scope.spawn(move || {
            for number in 0..MESSAGES {
                let receipt = publisher.text(&["crowd"], &number.to_string());
                if number < KILL_AT {
                    assert_eq!(receipt.subscribers, all);
                } else if number == KILL_AT {
                    reached.send(()).expect("the crowd is to be killed");
                }
            }
        });
        let read_all = |mut subscriber: Subscriber| {
            scope.spawn(move || {
                for number in 0..MESSAGES {
                    assert_eq!(subscriber.next().number(), number);
                }
                subscriber
            })
        };
        let readers: Vec<_> = rest.into_iter().map(read_all).collect();
        kill_now.recv().expect("the broadcast begins");
        crowd.kill();
        readers.into_iter().map(|reader| reader.join().expect("it has read all")).collect()
    });
    server.await_subscribers("crowd", CROWD as u64);
    drop(rest);
    server.await_subscribers("crowd", 0);
}

/// A process of its own with [`CROWD`] subscribers that read all they get.
struct Crowd(Child);

impl Crowd {
    /// Runs this very test binary again, as [`a_crowd_of_its_own`].
    fn subscribe(server: SocketAddr) -> Self {
        let mut command = Command::new(env::current_exe().expect("a path"));
        command.args(["--exact", "scale::a_crowd_of_its_own", "--nocapture"]);
        command.env(CROWD_ADDRESS, server.to_string()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the test binary starts again");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let crowd = Self(child);
        let subscribed = |line: io::Result<String>| line.is_ok_and(|l| l.contains("subscribed"));
        assert!(lines.any(subscribed), "the crowd subscribes");
        crowd
    }

    /// `kill -9`: no goodbye from anybody.
    fn kill(&mut self) {
        self.0.kill().expect("it lived");
        self.0.wait().expect("it is ours");
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // An error means that it was killed already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Not a test but the other process of one: without an address it has nothing to do.
#[test]
fn a_crowd_of_its_own() {
    let Ok(address) = env::var(CROWD_ADDRESS) else { return };
    let address: SocketAddr = address.parse().expect("an address");
    let streams: Vec<_> = (0..CROWD)
        .map(|_| {
            let mut stream = TcpStream::connect(address).expect("the server accepts");
            stream
                .write_all(b"GET /events?topic=crowd HTTP/1.1\r\nHost: test\r\n\r\n")
                .expect("sent");
            stream
        })
        .collect();
    println!("\nsubscribed");
    thread::scope(|scope| {
        for mut stream in streams {
            scope.spawn(move || {
                // Until the server ends, if this process was not killed before.
                while stream.read(&mut [0; 4096]).is_ok_and(|len| len > 0) {}
            });
        }
    });
}
