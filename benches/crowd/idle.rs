//! What subscribers cost to whom nothing is sent: the CPU time of the cores for each second of each
//! connection.

use std::{thread, time::Duration};

use clap::Args;

use super::{
    members::{Behaviour, Members},
    report::Report,
    server::{Server, Setup},
    wire::Topics,
};

#[derive(Args)]
pub(super) struct Options {
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

pub(super) fn run(options: &Options, setup: Setup, report: &mut Report) {
    let server = Server::start(setup, options.connections);
    let mut members = Members::start(options.connections, setup.members());
    members.connect(server.address(), Behaviour::audited(Topics::Common), report);
    server.settle();
    println!("  {} connections, {}", options.connections, server.name());
    let sends = || server.total(|core| core.sends.get());
    let parks = || server.total(|core| core.parks.get());
    let before = (server.cpu(), sends(), parks());
    thread::sleep(Duration::from_secs(options.seconds));
    let after = (server.cpu(), sends(), parks());
    let connection_seconds = (options.connections as u64 * options.seconds) as f64;
    let cpu = (after.0 - before.0).as_nanos() as f64 / 1e3 / connection_seconds;
    report.aimed("CPU time of a connection-second", cpu, "us", "<= 0.2 us");
    report.row("sends", (after.1 - before.1) as f64, "");
    report.row("times that a core went to sleep", (after.2 - before.2) as f64, "");
    members.heard().audit("nothing was published", 0, report);
}
