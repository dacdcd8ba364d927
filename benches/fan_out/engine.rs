//! The engine, whole: publish, wake, one core, its driver.

use std::{
    io::{Read, Write},
    net::{IpAddr, TcpStream},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use fanfare::{
    LocalProvider, LogOptions, Message,
    engine::{self, Admission, DriverChoice, EngineOptions, Verdict},
    http::RequestHead,
    provider::{Publication, SubscribeRequest},
};
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::sync::mpsc;

use super::{
    Contender,
    drain::{Drained, SENDER_CPU, drain, pin},
    rest,
};

/// An engine of one core with its subscribers.
pub(super) struct Engine {
    name: &'static str,
    provider: LocalProvider,
    engine: engine::Engine,
    drained: Drained,
    subscribers: usize,
    message: Message,
    /// The core's thread, by what it is called in /proc.
    thread: std::path::PathBuf,
}

#[derive(Debug)]
struct Everybody;

impl Admission for Everybody {
    fn admit(&self, _: &RequestHead<'_>, _: Option<IpAddr>) -> Verdict {
        Verdict::Subscribe(SubscribeRequest::to(&[""]).into())
    }
}

impl Engine {
    pub(super) fn new(subscribers: usize, size: usize, driver: DriverChoice) -> Self {
        // The core takes the only CPU that the thread that starts it may use.
        pin(SENDER_CPU);
        let before = core_threads();
        let provider = LocalProvider::new(LogOptions::default());
        let (hand_over, questions) = (mpsc::channel(1).0, mpsc::channel(1).0);
        let options = EngineOptions {
            cores: NonZeroUsize::new(1),
            driver,
            ..EngineOptions::new(Arc::new(Everybody), hand_over, questions)
        };
        let engine = engine::Engine::start(options, &provider).expect("the engine starts");
        let thread = core_threads().into_iter().find(|thread| !before.contains(thread));
        let clients = (0..subscribers).map(|_| subscribe(&engine)).collect();
        Self {
            name: if driver == DriverChoice::Uring { "engine, uring" } else { "engine, epoll" },
            provider,
            engine,
            drained: drain(clients),
            subscribers,
            message: Message::new("x".repeat(size)),
            thread: thread.expect("the core has a thread"),
        }
    }

    fn core_cpu(&self) -> Duration {
        let statistics = std::fs::read_to_string(self.thread.join("schedstat")).expect("it runs");
        let nanoseconds = statistics.split(' ').next().and_then(|field| field.parse().ok());
        Duration::from_nanos(nanoseconds.expect("the first field is the CPU time"))
    }

    fn deliveries(&self) -> u64 {
        self.engine.counters().map(|core| core.deliveries().written).sum()
    }
}

impl Contender for Engine {
    fn name(&self) -> &'static str {
        self.name
    }

    fn run(&mut self, rounds: usize, events: usize) -> Duration {
        anywhere();
        let batch = vec![Publication { message: &self.message, topics: &[""] }; events];
        let start = self.core_cpu();
        let mut wanted = self.deliveries();
        for _ in 0..rounds {
            let before = self.drained.bytes();
            self.provider.publish_batch(&batch).expect("the messages are valid");
            wanted += (events * self.subscribers) as u64;
            while self.deliveries() < wanted {
                std::thread::sleep(Duration::from_micros(200));
            }
            self.drained.wait_for(before + (events * self.subscribers) as u64);
            rest();
        }
        self.core_cpu() - start
    }
}

fn subscribe(engine: &engine::Engine) -> TcpStream {
    let mut socket = TcpStream::connect(engine.local_addr()).expect("the engine listens");
    socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("it is connected");
    let mut head = [0; 1024];
    let count = socket.read(&mut head).expect("the head comes at once");
    assert!(head[..count].ends_with(b"\r\n\r\n"), "the head and nothing else");
    socket
}

fn core_threads() -> Vec<std::path::PathBuf> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc is there");
    let is_core = |path: &std::path::PathBuf| {
        std::fs::read_to_string(path.join("comm"))
            .is_ok_and(|name| name.starts_with("fanfare-core"))
    };
    tasks.map(|task| task.expect("it is listed").path()).filter(is_core).collect()
}

/// Lets this thread, which only publishes and waits, run where there is room.
fn anywhere() {
    let mut set = CpuSet::new();
    (0..CpuSet::MAX_CPU).for_each(|cpu| set.set(cpu));
    sched_setaffinity(None, &set).expect("all CPUs are allowed again");
}
