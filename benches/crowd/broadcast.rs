//! One topic and everybody on it: whether all get everything, and how long it takes.

use std::time::Duration;

use clap::Args;

use super::{
    members::{Behaviour, Members},
    proc,
    report::Report,
    server::{Server, Setup},
    wire::{COMMON, Topics},
};

#[derive(Args)]
pub(super) struct Options {
    #[arg(long, default_value_t = 100_000)]
    connections: usize,
    /// Events to all, one after the other.
    #[arg(long, default_value_t = 10)]
    broadcasts: u64,
}

/// Longer than a broadcast to a hundred thousand takes by far.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn run(options: &Options, setup: Setup, report: &mut Report) {
    let connections = options.connections as u64;
    let mut server = Server::start(setup, options.connections);
    let mut members = Members::start(options.connections, setup.members());
    println!("  {}", server.name());
    let before = proc::pss();
    let joined = members.connect(server.address(), Behaviour::audited(Topics::Common), report);
    report.row("all connected and subscribed after", joined.took.as_secs_f64(), "s");
    report.row("user memory of each", (proc::pss() - before) / connections as f64, "B");

    server.settle();
    let mut times = Vec::new();
    let cpu = server.cpu();
    for nth in 1..=options.broadcasts {
        let published = server.publish(COMMON);
        let heard = members.wait_for(|share| share.len() as u64 * nth, PATIENCE);
        heard.audit(&format!("broadcast {nth}"), connections * nth, report);
        times.push(heard.last_at.saturating_sub(published) as f64 / 1e6);
    }
    let deliveries = connections * options.broadcasts;
    let cpu = (server.cpu() - cpu).as_nanos() as f64 / deliveries as f64;
    report.median("until the last had it", times, "ms");
    report.row("CPU time of a delivery", cpu, "ns");
    let counted = server.total(|core| core.deliveries().written);
    report.row("deliveries counted by the server", counted as f64, "");
    report.row("deliveries audited by the subscribers", members.heard().deliveries as f64, "");
    report.check(counted == deliveries, || format!("{counted} deliveries, not {deliveries}"));
}
