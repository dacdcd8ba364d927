//! The CPU time of a delivery as the crowd grows, beside a plain loop over `send(2)`.

use std::{
    thread,
    time::{Duration, Instant},
};

use clap::Args;

use super::{
    members::{Behaviour, Members, Place},
    report::Report,
    server::{Server, Setup},
    wire::{COMMON, Faults, Round, Topics},
};

#[derive(Args)]
pub(super) struct Options {
    /// Connections, each number in turn; the first is what others are compared with.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000])]
    connections: Vec<usize>,
    /// Events of a send.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10])]
    events: Vec<usize>,
    /// CPUs for the cores, each number in turn. Where connections need more threads than that, these
    /// share the CPUs; with all of the CPUs the subscribers run anywhere.
    #[arg(long, value_delimiter = ',', default_values_t = [1])]
    cores: Vec<usize>,
    /// Sends of a repeat.
    #[arg(long, default_value_t = 200_000)]
    sends: usize,
    /// Repeats, of which the median counts.
    #[arg(long, default_value_t = 5)]
    repeats: usize,
}

/// A core rests between passes and its CPU goes cold, so everybody's does after each round.
const PAUSE: Duration = Duration::from_millis(5);

const PATIENCE: Duration = Duration::from_secs(60);

/// A server or a floor with its subscribers.
struct Contender<S> {
    sender: S,
    members: Members,
    /// Events that everybody should have by now.
    events: u64,
    heard: u64,
    faults: Faults,
}

/// Processes that send without anything around it.
struct Floor {
    holders: Members,
    size: usize,
}

/// The figures of the first size.
#[derive(Clone, Default)]
struct Base {
    cost: Option<f64>,
    floor: Option<f64>,
}

/// What the runs of one size have found.
#[derive(Default)]
struct Found {
    nanoseconds: Vec<f64>,
    rate: Vec<f64>,
    floor: Vec<f64>,
}

pub(super) fn run(options: &Options, setup: Setup, report: &mut Report) {
    for &cpus in &options.cores {
        let setup = Setup { cpus, ..setup };
        let mut bases = vec![Base::default(); options.events.len()];
        for &connections in &options.connections {
            let found = measure(options, setup, connections, report);
            for ((found, events), base) in found.into_iter().zip(&options.events).zip(&mut bases) {
                let name = format!("{cpus} CPU, {connections} connections, {events} events/send");
                tell(&name, found, base, report);
            }
        }
    }
}

fn tell(name: &str, found: Found, base: &mut Base, report: &mut Report) {
    let cost = report.median(format!("{name}: CPU"), found.nanoseconds, "ns/delivery");
    report.median(format!("{name}: rate"), found.rate, "deliveries/s");
    if !found.floor.is_empty() {
        let floor = report.median(format!("{name}: send(2) loop"), found.floor, "ns/delivery");
        report.row(format!("{name}: ratio to that loop"), cost / floor, "");
        let first = *base.floor.get_or_insert(floor);
        report.row(format!("{name}: that loop's ratio to its first"), floor / first, "");
    }
    let first = *base.cost.get_or_insert(cost);
    report.aimed(format!("{name}: ratio to the first"), cost / first, "", "<= 1.6");
}

/// Measures one size: the numbers of events in turn, and server and floor in turns.
fn measure(options: &Options, setup: Setup, connections: usize, report: &mut Report) -> Vec<Found> {
    let mut server = engine(setup, connections, report);
    server.sender.settle();
    println!("  {connections} connections: {}", server.sender.name());
    let mut floor = (setup.cpus == 1).then(|| plain(setup, connections, report));
    let each = |&events: &usize| {
        let mut found = Found::default();
        let rounds = (options.sends / connections).max(2);
        let deliveries = (rounds * events * connections) as f64;
        for _ in 0..options.repeats {
            let (cpu, wall) = server.run(rounds, events);
            found.nanoseconds.push(cpu.as_nanos() as f64 / deliveries);
            found.rate.push(deliveries / wall.as_secs_f64());
            if let Some(floor) = &mut floor {
                found.floor.push(floor.run(rounds, events).as_nanos() as f64 / deliveries);
            }
        }
        found
    };
    let found = options.events.iter().map(each).collect();
    server.audit("the engine", report);
    if let Some(floor) = floor {
        floor.audit("the floor", report);
    }
    found
}

fn engine(setup: Setup, connections: usize, report: &mut Report) -> Contender<Server> {
    let sender = Server::start(setup, connections);
    let mut members = Members::start(connections, setup.members());
    members.connect(sender.address(), Behaviour::audited(Topics::Common), report);
    Contender::new(sender, members)
}

fn plain(setup: Setup, connections: usize, report: &mut Report) -> Contender<Floor> {
    let mut holders = Members::start(connections, Place::of_cores());
    let servers = holders.hold();
    let mut members = Members::start(connections, setup.members());
    members.begin(&servers, Behaviour::audited(Topics::Common));
    let failed = members.join().failed;
    report.check(failed == 0, || format!("{failed} connections to the floor failed"));
    Contender::new(Floor { holders, size: setup.size }, members)
}

impl<S> Contender<S> {
    fn new(sender: S, members: Members) -> Self {
        Self { sender, members, events: 0, heard: 0, faults: Faults::default() }
    }

    /// Waits until everybody has so many events more.
    fn wait(&mut self, events: usize) {
        self.events += events as u64;
        let all = self.events;
        let heard = self.members.wait_for(|share| share.len() as u64 * all, PATIENCE);
        self.heard = heard.deliveries;
        self.faults.add(heard.faults);
    }

    fn audit(&self, who: &str, report: &mut Report) {
        let all = self.members.shares().map(|share| share.len() as u64).sum::<u64>() * self.events;
        let (heard, faults) = (self.heard, self.faults);
        report.check(heard == all, || format!("{who}: {heard} deliveries, not {all}"));
        report.check(faults == Faults::default(), || format!("{who}: {faults:?}"));
    }
}

impl Contender<Server> {
    /// Gives the CPU time of the cores, and the time without the pauses.
    fn run(&mut self, rounds: usize, events: usize) -> (Duration, Duration) {
        let (cpu, mut wall) = (self.sender.cpu(), Duration::ZERO);
        for _ in 0..rounds {
            let start = Instant::now();
            self.sender.publish_many(COMMON, events);
            self.wait(events);
            wall += start.elapsed();
            thread::sleep(PAUSE);
        }
        (self.sender.cpu() - cpu, wall)
    }
}

impl Contender<Floor> {
    /// Gives the CPU time of sending.
    fn run(&mut self, rounds: usize, events: usize) -> Duration {
        let mut cpu = Duration::ZERO;
        for _ in 0..rounds {
            let counters = self.events..self.events + events as u64;
            cpu += self.sender.holders.send(&Round { counters, size: self.sender.size });
            self.wait(events);
            thread::sleep(PAUSE);
        }
        cpu
    }
}
