//! How fast one core takes subscribers in: accepted, head read, answered, subscribed.

use clap::Args;

use super::{
    members::{Behaviour, CONNECTIONS_PER_PROCESS, Members},
    report::Report,
    server::{Server, Setup},
    wire::{Pace, Reads, Topics},
};

#[derive(Args)]
pub(super) struct Options {
    /// Connections of a repeat; one member opens them all.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Connections that are under way at a time.
    #[arg(long, default_value_t = 256)]
    window: usize,
    /// Repeats, of which the median counts.
    #[arg(long, default_value_t = 7)]
    repeats: usize,
}

pub(super) fn run(options: &Options, setup: Setup, report: &mut Report) {
    let connections = options.connections.min(CONNECTIONS_PER_PROCESS);
    let (mut rates, mut costs, mut busy) = (Vec::new(), Vec::new(), Vec::new());
    let behaviour = Behaviour {
        topics: Topics::Common,
        reads: Reads::FromFirst,
        pace: Pace::Window(options.window),
        receive_buffer: None,
    };
    for _ in 0..options.repeats {
        let server = Server::start(setup, connections);
        let mut members = Members::one(connections, setup.members());
        let cpu = server.cpu();
        let joined = members.connect(server.address(), behaviour, report);
        let cpu = server.cpu() - cpu;
        rates.push(connections as f64 / joined.took.as_secs_f64());
        costs.push(cpu.as_nanos() as f64 / 1e3 / connections as f64);
        busy.push(cpu.as_secs_f64() / joined.took.as_secs_f64());
        let subscribers = server.subscribers();
        report.check(subscribers == connections as u64, || format!("{subscribers} subscribed"));
    }
    report.median("connections taken in per second", rates, "/s");
    report.median("busy share of the core meanwhile", busy, "");
    let cost = report.median("CPU time of a connection", costs, "us");
    report.aimed("a busy core's connections per second", 1e6 / cost, "/s", ">= 30,000/s");
}
