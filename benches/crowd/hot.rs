//! A few topics that are busy at once: how far sends carry several events each.

use std::time::Duration;

use clap::Args;

use super::{
    members::{Behaviour, Members},
    report::Report,
    server::{Server, Setup},
    wire::{Topic, Topics},
};

#[derive(Args)]
pub(super) struct Options {
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    #[arg(long, default_value_t = 10)]
    topics: u32,
    /// Messages per second, to the topics in turn.
    #[arg(long, default_value_t = 10_000)]
    rate: u64,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn run(options: &Options, setup: Setup, report: &mut Report) {
    let mut server = Server::start(setup, options.connections);
    let mut members = Members::start(options.connections, setup.members());
    println!("  {}", server.name());
    let behaviour = Behaviour::audited(Topics::OneOf(options.topics));
    members.connect(server.address(), behaviour, report);

    let topics: Vec<Topic> = (0..options.topics).map(Topic::shared).collect();
    let sends = |server: &Server| server.total(|core| core.sends.get());
    let before = (server.cpu(), sends(&server));
    let during = Duration::from_secs(options.seconds);
    let publishing = std::time::Instant::now();
    server.publish_steadily(&topics, options.rate, during);
    let published = publishing.elapsed();
    let of = |nth: usize| server.published(Topic::shared(nth as u32 % options.topics));
    let heard = members.wait_for(|share| share.map(of).sum(), PATIENCE);
    let after = (server.cpu(), sends(&server));

    let all: u64 = (0..options.connections).map(of).sum();
    heard.audit("busy topics", all, report);
    let cpu = after.0 - before.0;
    report.row(
        "messages published per second",
        (options.rate * options.seconds) as f64 / published.as_secs_f64(),
        "/s",
    );
    report.row("deliveries per second", all as f64 / published.as_secs_f64(), "/s");
    report.latency("latency", &heard.latency);
    report.row("busy share of the core", cpu.as_secs_f64() / published.as_secs_f64(), "");
    report.row("CPU time of a delivery", cpu.as_nanos() as f64 / all as f64, "ns");
    report.row("events of a send", all as f64 / (after.1 - before.1) as f64, "");
}
