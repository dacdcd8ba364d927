//! The server: an engine in this process, and the counters of what was published.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use fanfare::{
    LocalProvider, Message,
    engine::{Admission, CoreCounters, DriverChoice, EndReason, Engine, EngineOptions, Verdict},
    http::{self, RequestHead},
    limits,
    provider::{Publication, SubscribeRequest},
};
use tokio::sync::mpsc;

use super::{
    members::{CONNECTIONS_PER_PROCESS, Place},
    proc,
    report::Report,
    wire::{self, Topic},
};

/// How to start one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub(super) driver: DriverChoice,
    /// CPUs that the cores may use: one leaves the other to the subscribers.
    pub(super) cpus: usize,
    /// Bytes of an event's data.
    pub(super) size: usize,
}

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    engine: Engine,
    provider: LocalProvider,
    setup: Setup,
    counters: HashMap<Topic, u64>,
    cores: Vec<PathBuf>,
}

/// What the cores do with their time, from when it begins.
#[derive(Debug)]
pub(super) struct Watch {
    cores: Vec<PathBuf>,
    began: Instant,
    times: (Duration, Duration),
}

/// `GET /events?topic=…` subscribes, and nothing else is asked.
#[derive(Debug)]
struct Everybody;

impl Admission for Everybody {
    fn admit(&self, head: &RequestHead<'_>, _: Option<IpAddr>) -> Verdict {
        let topics: Vec<_> = head.query_pairs().map(|(_, topic)| topic).collect();
        let request = SubscribeRequest::to(&topics);
        match request.check() {
            Ok(()) => Verdict::Subscribe(request.into()),
            Err(fault) => Verdict::Refuse(http::error(400, &fault.to_string())),
        }
    }
}

impl Setup {
    /// Cores for so many connections: each has a table of descriptors of its own.
    pub(super) fn cores(self, connections: usize) -> usize {
        let tables = match self.driver {
            DriverChoice::Epoll => 1,
            DriverChoice::Auto | DriverChoice::Uring => {
                connections.div_ceil(CONNECTIONS_PER_PROCESS)
            }
        };
        self.cpus.max(tables)
    }

    /// Where the subscribers run.
    pub(super) fn members(self) -> Place {
        Place::beside(self.cpus)
    }
}

impl Server {
    /// Starts one with cores enough for so many connections.
    pub(super) fn start(setup: Setup, connections: usize) -> Self {
        let provider = LocalProvider::builder().build();
        let (hand_over, questions) = (mpsc::channel(1).0, mpsc::channel(1).0);
        let options = EngineOptions {
            cores: NonZeroUsize::new(setup.cores(connections)),
            driver: setup.driver,
            ..EngineOptions::new(Arc::new(Everybody), hand_over, questions)
        };
        // The cores run where the thread may that starts them.
        let start = || {
            proc::set_priority(proc::ordinary());
            proc::pin((setup.cpus == 1).then_some(proc::SERVER_CPU));
            Engine::start(options, &provider).expect("the engine starts")
        };
        let engine =
            std::thread::scope(|scope| scope.spawn(start).join().expect("starting does not panic"));
        let cores = proc::core_threads();
        Self { engine, provider, setup, counters: HashMap::new(), cores }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.engine.local_addr()
    }

    /// What it is, in a few words.
    pub(super) fn name(&self) -> String {
        format!("{} cores on {} CPU, {}", self.cores.len(), self.setup.cpus, self.engine.driver())
    }

    /// Publishes an event, and says when.
    pub(super) fn publish(&mut self, topic: Topic) -> u64 {
        self.publish_many(topic, 1)
    }

    /// Publishes events in one batch, and says when.
    pub(super) fn publish_many(&mut self, topic: Topic, events: usize) -> u64 {
        let next = self.counters.entry(topic).or_insert(0);
        let counters = *next..*next + events as u64;
        *next = counters.end;
        let now = wire::now();
        let message = |counter| Message::new(topic.data(counter, now, self.setup.size));
        let messages: Vec<Message> = counters.map(message).collect();
        let topic = [&*topic.to_string()];
        let publication = |message| Publication { message, topics: &topic };
        let batch: Vec<Publication<'_>> = messages.iter().map(publication).collect();
        self.provider.publish_batch(&batch).expect("the messages are valid");
        now
    }

    /// Publishes to the topics in turn, so many per second in all, for a while. A tick that comes late
    /// is made up for.
    pub(super) fn publish_steadily(&mut self, topics: &[Topic], rate: u64, during: Duration) {
        let began = Instant::now();
        let all = (rate as f64 * during.as_secs_f64()) as u64;
        for (nth, &topic) in (0..all).zip(topics.iter().cycle()) {
            let due = began + Duration::from_secs_f64(nth as f64 / rate as f64);
            let early = due.saturating_duration_since(Instant::now());
            // A sleep takes 50 µs at least, and messages that are due by then may go together.
            if early > Duration::from_micros(100) {
                std::thread::sleep(early);
            }
            self.publish(topic);
        }
        std::thread::sleep((began + during).saturating_duration_since(Instant::now()));
    }

    /// Publishes batches of one message as fast as the cores go along, for a while.
    pub(super) fn publish_flat_out(&mut self, topic: Topic, batch: usize, during: Duration) {
        let message = Message::new(topic.data(0, wire::now(), self.setup.size));
        let topic = [&*topic.to_string()];
        let batch = vec![Publication { message: &message, topics: &topic }; batch];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime needs nothing");
        let until = Instant::now() + during;
        while Instant::now() < until {
            runtime.block_on(self.provider.ready());
            self.provider.publish_batch(&batch).expect("the messages are valid");
        }
    }

    /// Events published to a topic so far.
    pub(super) fn published(&self, topic: Topic) -> u64 {
        self.counters.get(&topic).copied().unwrap_or(0)
    }

    /// Waits until no deadline of a head wakes a core any more: each connection has one.
    pub(super) fn settle(&self) {
        std::thread::sleep(limits::HEAD_DEADLINE + Duration::from_secs(2));
    }

    /// CPU time of all cores so far.
    pub(super) fn cpu(&self) -> Duration {
        times(&self.cores).0
    }

    /// Begins to watch what the cores do with their time.
    pub(super) fn watch(&self) -> Watch {
        Watch { cores: self.cores.clone(), began: Instant::now(), times: times(&self.cores) }
    }

    /// A counter of each core.
    pub(super) fn by_core(&self, counter: impl Fn(&CoreCounters) -> u64) -> Vec<u64> {
        self.engine.counters().map(|core| counter(core)).collect()
    }

    /// A counter of all cores.
    pub(super) fn total(&self, counter: impl Fn(&CoreCounters) -> u64) -> u64 {
        self.by_core(counter).iter().sum()
    }

    /// Subscribers now.
    pub(super) fn subscribers(&self) -> u64 {
        self.total(|core| core.subscribers.get())
    }

    /// Connections that have ended, by reason, without those of which there are none.
    pub(super) fn ends(&self) -> Vec<(&'static str, u64)> {
        let count = |reason| self.total(|core| core.ends(reason).get());
        let counts = EndReason::ALL.map(|reason| (reason.name(), count(reason)));
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// Waits until there are so few subscribers. False: it takes too long.
    pub(super) fn wait_for_leaving(&self, left: u64, within: Duration) -> bool {
        let began = Instant::now();
        while self.subscribers() > left {
            if began.elapsed() > within {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }
}

impl Watch {
    /// Tells how much of a CPU the cores had, and how much more they would have taken: others, or each
    /// other, had it. Where that is not little, a latency is one of a busy machine.
    pub(super) fn end(self, when: &str, report: &mut Report) {
        let (cpu, waited) = times(&self.cores);
        let wall = self.began.elapsed().as_secs_f64();
        let share = |time: Duration| time.as_secs_f64() / wall;
        report.row(format!("{when}: CPU of the cores"), share(cpu - self.times.0), "of a CPU");
        let waited = share(waited - self.times.1);
        report.row(format!("{when}: cores waited for a CPU"), waited, "of the time");
    }
}

/// CPU time of the threads, and the time that they waited for a CPU.
fn times(threads: &[PathBuf]) -> (Duration, Duration) {
    let times = threads.iter().map(|thread| proc::cpu_time(thread));
    times.fold((Duration::ZERO, Duration::ZERO), |(cpu, waited), time| {
        (cpu + time.0, waited + time.1)
    })
}
