//! The subscribers as the server's process sees them: children that it tells what to do.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    ops::Range,
    process::{Child, ChildStdin, ChildStdout, Command as Process, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use hdrhistogram::Histogram;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    member::CONNECTIONS_PER_SOURCE,
    proc,
    report::Report,
    wire::{self, Command, Connected, Faults, Pace, Plan, Reads, Round, Tally, Topics},
};

/// Sockets of one process: descriptors are limited to 20,000 where this was written.
pub(super) const CONNECTIONS_PER_PROCESS: usize = 15_000;

/// A member that says nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(300);

/// Where a process runs, and how it fares beside others there.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Place {
    /// None: anywhere.
    pub(super) cpu: Option<usize>,
    /// As `nice(2)` has it: less is sooner.
    pub(super) priority: i32,
}

/// How a crowd behaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Behaviour {
    pub(super) topics: Topics,
    pub(super) reads: Reads,
    pub(super) pace: Pace,
    pub(super) receive_buffer: Option<usize>,
}

/// Processes of subscribers. They go, and their connections with them, when this is dropped.
#[derive(Debug)]
pub(super) struct Members(Vec<Member>);

#[derive(Debug)]
struct Member {
    process: Child,
    /// None when it is to end.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    connections: Range<usize>,
    source: u32,
}

/// All members' heads are in.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) took: Duration,
    pub(super) first_byte: Histogram<u64>,
    pub(super) failed: u64,
}

/// What all members have heard.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) deliveries: u64,
    pub(super) last_at: u64,
    pub(super) latency: Histogram<u64>,
    pub(super) faults: Faults,
}

impl Behaviour {
    /// Audited from the first event on, and connecting as fast as is good for the backlog.
    pub(super) fn audited(topics: Topics) -> Self {
        Self { topics, reads: Reads::FromFirst, pace: Pace::Window(256), receive_buffer: None }
    }
}

impl Place {
    /// Beside the cores' CPU, where they leave one.
    pub(super) fn beside(cpus: usize) -> Self {
        Self { cpu: (cpus == 1).then_some(proc::MEMBERS_CPU), priority: proc::ordinary() }
    }

    /// There too, and before the others.
    pub(super) fn first(self) -> Self {
        Self { priority: proc::first(), ..self }
    }

    /// Where the cores are.
    pub(super) fn of_cores() -> Self {
        Self { cpu: Some(proc::SERVER_CPU), priority: proc::ordinary() }
    }
}

impl Members {
    /// Processes enough for so many connections at a time.
    pub(super) fn start(connections: usize, place: Place) -> Self {
        let starts = (0..connections).step_by(CONNECTIONS_PER_PROCESS);
        let ranges = starts.map(|start| start..connections.min(start + CONNECTIONS_PER_PROCESS));
        Self(ranges.map(|range| Member::start(range, place)).collect())
    }

    /// One process for connections that come and go.
    pub(super) fn one(connections: usize, place: Place) -> Self {
        Self(vec![Member::start(0..connections, place)])
    }

    /// How many connections they have, by process.
    pub(super) fn shares(&self) -> impl Iterator<Item = Range<usize>> {
        self.0.iter().map(|member| member.connections.clone())
    }

    /// Tells them to connect, each connection of a process to the next of the servers.
    pub(super) fn begin(&mut self, servers: &[SocketAddr], behaviour: Behaviour) {
        let Behaviour { topics, reads, pace, receive_buffer } = behaviour;
        for member in &mut self.0 {
            let servers = servers.to_vec();
            let (connections, source) = (member.connections.clone(), member.source);
            let plan = Plan { servers, connections, source, topics, reads, pace, receive_buffer };
            member.tell(&Command::Connect(plan));
        }
    }

    /// Waits until all of them are connected.
    pub(super) fn join(&mut self) -> Joined {
        let mut first_byte = wire::histogram();
        let answers: Vec<Connected> = self.0.iter_mut().map(Member::hear).collect();
        let began = answers.iter().map(|answer| answer.began).min().unwrap_or(0);
        let ended = answers.iter().map(|answer| answer.ended).max().unwrap_or(0);
        answers.iter().for_each(|answer| wire::add_counts(&mut first_byte, &answer.first_byte));
        let failed = answers.iter().map(|answer| answer.failed).sum();
        Joined { took: Duration::from_nanos(ended - began), first_byte, failed }
    }

    /// Connects all of them; it is a failure if one is refused.
    pub(super) fn connect(
        &mut self,
        server: SocketAddr,
        behaviour: Behaviour,
        report: &mut Report,
    ) -> Joined {
        self.begin(&[server], behaviour);
        let joined = self.join();
        report.check(joined.failed == 0, || format!("{} connections failed", joined.failed));
        joined
    }

    /// Waits until every process has so many events in all, which depends on its connections.
    pub(super) fn wait_for(
        &mut self,
        events: impl Fn(Range<usize>) -> u64,
        within: Duration,
    ) -> Heard {
        for member in &mut self.0 {
            let deliveries = events(member.connections.clone());
            member.tell(&Command::Await { deliveries, within });
        }
        let mut heard = Heard {
            deliveries: 0,
            last_at: 0,
            latency: wire::histogram(),
            faults: Faults::default(),
        };
        for tally in self.0.iter_mut().map(Member::hear::<Tally>) {
            heard.deliveries += tally.deliveries;
            heard.last_at = heard.last_at.max(tally.last_at);
            wire::add_counts(&mut heard.latency, &tally.latency);
            heard.faults.add(tally.faults);
        }
        heard
    }

    /// What they have heard since the last time.
    pub(super) fn heard(&mut self) -> Heard {
        self.wait_for(|_| 0, Duration::ZERO)
    }

    /// Lets all connections leave, in order; the processes stay.
    pub(super) fn leave(&mut self) {
        self.0.iter_mut().for_each(|member| member.tell(&Command::Leave));
        self.0.iter_mut().for_each(Member::hear::<()>);
    }

    /// Lets them accept instead of connect, and says where.
    pub(super) fn hold(&mut self) -> Vec<SocketAddr> {
        self.0.iter_mut().for_each(|member| member.tell(&Command::Hold));
        self.0.iter_mut().map(Member::hear).collect()
    }

    /// Lets them send to everybody they hold, all at once as cores do, and says what CPU time that
    /// took in all.
    pub(super) fn send(&mut self, round: &Round) -> Duration {
        self.0.iter_mut().for_each(|member| member.tell(&Command::Send(round.clone())));
        self.0.iter_mut().map(Member::hear::<Duration>).sum()
    }
}

impl Heard {
    /// Fails the run unless everything came once and in order, so many times in all.
    pub(super) fn audit(&self, what: &str, deliveries: u64, report: &mut Report) {
        report.check(self.deliveries == deliveries, || {
            format!("{what}: {} deliveries instead of {deliveries}", self.deliveries)
        });
        report.check(self.faults == Faults::default(), || format!("{what}: {:?}", self.faults));
    }
}

impl Member {
    fn start(connections: Range<usize>, place: Place) -> Self {
        let place = serde_json::to_string(&place).expect("a place is plain");
        let mut process = Process::new("/proc/self/exe")
            .args([super::MEMBER_FLAG, &place])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("what runs can be run again");
        let commands = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().expect("it is piped"));
        let source = take_sources(connections.len().div_ceil(CONNECTIONS_PER_SOURCE));
        Self { process, commands, answers, connections, source }
    }

    fn tell(&mut self, command: &Command) {
        let line = serde_json::to_string(command).expect("commands are plain");
        let commands = self.commands.as_mut().expect("it is to go on");
        writeln!(commands, "{line}").expect("the member runs");
    }

    fn hear<T: DeserializeOwned>(&mut self) -> T {
        let mut ready = [PollFd::new(self.answers.get_ref(), PollFlags::IN)];
        let patience = Timespec::try_from(PATIENCE).expect("it is not for ever");
        let count = poll(&mut ready, Some(&patience)).expect("it is a pipe");
        assert!(count > 0, "a member does not answer");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the member says text");
        serde_json::from_str(&line).expect("the member knows what was asked")
    }
}

impl Drop for Members {
    /// All are told to end before one is waited for.
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|member| drop(member.commands.take()));
        for member in &mut self.0 {
            let _ = member.process.wait();
        }
    }
}

/// Numbers of source addresses that nobody has had: ports of connections that ended are held back.
fn take_sources(count: usize) -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Another run of a minute ago had others.
    let start = std::process::id() % 4096 * 1024;
    start + NEXT.fetch_add(count as u32, Ordering::Relaxed)
}
