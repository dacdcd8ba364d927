//! A few topics that are busy at once: how far sends carry several events each.

use std::time::{Duration, Instant};

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
    let count = |server: &Server| {
        let sends = server.total(|core| core.sends.get());
        (server.cpu(), sends, server.total(|core| core.passes.get()))
    };
    let (before, watch) = (count(&server), server.watch());
    let publishing = Instant::now();
    server.publish_steadily(&topics, options.rate, Duration::from_secs(options.seconds));
    let took = publishing.elapsed().as_secs_f64();
    watch.end("while publishing", report);
    report.row("lagging at its end", server.total(|core| core.lagging.get()) as f64, "");
    let of = |nth: usize| server.published(Topic::shared(nth as u32 % options.topics));
    let heard = members.wait_for(|share| share.map(of).sum(), PATIENCE);
    let after = count(&server);

    let all: u64 = (0..options.connections).map(of).sum();
    heard.audit("busy topics", all, report);
    let (sends, passes) = ((after.1 - before.1) as f64, (after.2 - before.2) as f64);
    let cpu = (after.0 - before.0).as_nanos() as f64;
    report.row("published per second", (options.rate * options.seconds) as f64 / took, "/s");
    report.row("deliveries per second", all as f64 / took, "/s");
    report.latency("latency", &heard.latency);
    report.row("CPU time of a delivery", cpu / all as f64, "ns");
    report.row("CPU time of a send", cpu / sends, "ns");
    report.row("events of a send", all as f64 / sends, "");
    report.row("sends of a pass", sends / passes, "");
}
