//! A busy topic, published flat out: how many events a busy core hands to the kernel.
//!
//! The subscribers count bytes and throw them away in the kernel (`MSG_TRUNC`), because a reader that copies
//! 10 GB/s is slower than the core. So nothing is audited here, and the run says so.

use std::time::{Duration, Instant};

use clap::Args;

use super::{
    members::{Behaviour, Members},
    report::Report,
    server::{Server, Setup},
    wire::{COMMON, Pace, Reads, Topics},
};

#[derive(Args)]
pub(super) struct Options {
    #[arg(long, default_value_t = 1_000)]
    connections: usize,
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Messages of a batch, as a publisher's NDJSON lines come.
    #[arg(long, default_value_t = 100)]
    batch: usize,
    /// Repeats, of which the median counts.
    #[arg(long, default_value_t = 3)]
    repeats: usize,
}

pub(super) fn run(options: &Options, setup: Setup, report: &mut Report) {
    let mut server = Server::start(setup, options.connections);
    let mut members = Members::start(options.connections, setup.members());
    println!("  {}; the subscribers count bytes, and audit nothing", server.name());
    let behaviour = Behaviour {
        topics: Topics::Common,
        reads: Reads::Discards,
        pace: Pace::Window(256),
        receive_buffer: None,
    };
    members.connect(server.address(), behaviour, report);
    let (mut of_busy_core, mut wall, mut bytes, mut per_send) = (vec![], vec![], vec![], vec![]);
    for _ in 0..options.repeats {
        let count = |server: &Server| {
            [
                server.total(|core| core.deliveries().written),
                server.total(|core| core.bytes_sent.get()),
                server.total(|core| core.sends.get()),
            ]
        };
        let (before, cpu, began) = (count(&server), server.cpu(), Instant::now());
        server.publish_flat_out(COMMON, options.batch, Duration::from_secs(options.seconds));
        let (took, cpu) = (began.elapsed().as_secs_f64(), (server.cpu() - cpu).as_secs_f64());
        let after = count(&server);
        let [deliveries, sent, sends] = [0, 1, 2].map(|nth| (after[nth] - before[nth]) as f64);
        of_busy_core.push(deliveries / cpu);
        wall.push(deliveries / took);
        bytes.push(sent / cpu / 1e9);
        per_send.push(deliveries / sends);
    }
    report.median("deliveries per second of a busy core", of_busy_core, "/s");
    report.median("deliveries per second", wall, "/s");
    report.median("bytes per second of a busy core", bytes, "GB/s");
    report.median("events of a send", per_send, "");
    let ends = server.ends();
    report.check(ends.is_empty(), || format!("some were cut: {ends:?}"));
}
