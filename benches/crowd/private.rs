//! A topic for each connection, and one for all: whom a message wakes, and what forgetting takes.

use std::{
    ops::Range,
    thread,
    time::{Duration, Instant},
};

use clap::Args;

use super::{
    members::{Behaviour, Members},
    proc,
    report::Report,
    server::{Server, Setup},
    wire::{COMMON, Topic, Topics},
};

#[derive(Args)]
pub(super) struct Options {
    #[arg(long, default_value_t = 100_000)]
    connections: usize,
    /// Messages to one connection each.
    #[arg(long, default_value_t = 20_000)]
    messages: usize,
    /// Messages per second.
    #[arg(long, default_value_t = 2_000)]
    rate: u64,
}

const PATIENCE: Duration = Duration::from_secs(60);

/// Which connections are addressed is chance, and the same in every run.
const SEED: u64 = 7;

pub(super) fn run(options: &Options, setup: Setup, report: &mut Report) {
    let connections = options.connections;
    let mut server = Server::start(setup, connections);
    let mut members = Members::start(connections, setup.members());
    println!("  {}", server.name());
    let before = proc::pss();
    let joined =
        members.connect(server.address(), Behaviour::audited(Topics::OwnAndCommon), report);
    report.row("all connected and subscribed after", joined.took.as_secs_f64(), "s");
    report.row("user memory of each", (proc::pss() - before) / connections as f64, "B");
    settle(&server, report);
    publish_privately(options, &mut server, &mut members, report);
    publish_to_all(options, &mut server, &mut members, report);
    leave(&server, &mut members, report);
}

/// Tells what the deadlines of the heads take, which have all been kept.
fn settle(server: &Server, report: &mut Report) {
    let parks = |server: &Server| server.total(|core| core.parks.get());
    let (subscribers, cpu, before) = (server.subscribers() as f64, server.cpu(), parks(server));
    server.settle();
    let cpu = (server.cpu() - cpu).as_nanos() as f64 / 1e3 / subscribers;
    report.row("until nothing is due: CPU time of each", cpu, "us");
    let woken = (parks(server) - before) as f64 / subscribers;
    report.row("until nothing is due: times a core slept, for each", woken, "");
}

fn publish_privately(
    options: &Options,
    server: &mut Server,
    members: &mut Members,
    report: &mut Report,
) {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut own = || Topic::own(random.usize(..options.connections));
    let topics: Vec<Topic> = (0..options.messages).map(|_| own()).collect();
    let count = |server: &Server| {
        (server.by_core(|core| core.passes.get()), server.by_core(|core| core.parks.get()))
    };
    let before = (count(server), server.cpu());
    let during = Duration::from_secs_f64(options.messages as f64 / options.rate as f64);
    server.publish_steadily(&topics, options.rate, during);
    let published = |share: Range<usize>| share.map(|nth| server.published(Topic::own(nth))).sum();
    let heard = members.wait_for(published, PATIENCE);
    let after = (count(server), server.cpu());
    heard.audit("private messages", options.messages as u64, report);
    report.latency("a private message", &heard.latency);
    let messages = options.messages as f64;
    let cpu = (after.1 - before.1).as_nanos() as f64 / 1e3 / messages;
    report.row("CPU time of a private message", cpu, "us");
    let passes = differences(&after.0.0, &before.0.0);
    let parks = differences(&after.0.1, &before.0.1);
    println!("    passes by core {passes:?}, parks by core {parks:?}");
    let per_message = |counts: &[u64]| counts.iter().sum::<u64>() as f64 / messages;
    report.row("passes begun for a private message", per_message(&passes), "");
    report.row("cores that woke for a private message", per_message(&parks), "");
}

fn publish_to_all(
    options: &Options,
    server: &mut Server,
    members: &mut Members,
    report: &mut Report,
) {
    let before = server.cpu();
    let at = server.publish(COMMON);
    let own = |share: Range<usize>| share.map(|nth| server.published(Topic::own(nth))).sum::<u64>();
    let heard = members.wait_for(|share| own(share.clone()) + share.len() as u64, PATIENCE);
    let all = options.messages + options.connections;
    heard.audit("a message to all", all as u64, report);
    let took = heard.last_at.saturating_sub(at) as f64 / 1e6;
    let cpu = (server.cpu() - before).as_nanos() as f64 / options.connections as f64;
    report.row("a message to all: until the last had it", took, "ms");
    report.row("a message to all: CPU time of a delivery", cpu, "ns");
}

/// Everybody leaves at once.
fn leave(server: &Server, members: &mut Members, report: &mut Report) {
    let (began, cpu) = (Instant::now(), server.cpu());
    let left = server.subscribers();
    let gone = thread::scope(|scope| {
        let gone = scope.spawn(|| {
            proc::set_priority(proc::first());
            server.wait_for_leaving(0, PATIENCE).then(|| began.elapsed())
        });
        members.leave();
        report.row("all leave: until they have closed", began.elapsed().as_secs_f64(), "s");
        gone.join().expect("waiting does not panic")
    });
    let Some(gone) = gone else {
        return report.fail(format!("{} of {left} are not forgotten", server.subscribers()));
    };
    report.row("all leave: until the server has forgotten them", gone.as_secs_f64(), "s");
    let cpu = (server.cpu() - cpu).as_nanos() as f64 / 1e3 / left as f64;
    report.row("all leave: CPU time of each", cpu, "us");
}

fn differences(after: &[u64], before: &[u64]) -> Vec<u64> {
    after.iter().zip(before).map(|(after, before)| after - before).collect()
}
