//! Healthy subscribers while others connect, subscribe and leave, thousands in a second.

use std::time::Duration;

use clap::Args;

use super::{
    members::{Behaviour, Members},
    report::Report,
    server::{Server, Setup},
    wire::{COMMON, Pace, Reads, Topics},
};

#[derive(Args)]
pub(super) struct Options {
    /// Connections that come and go per second.
    #[arg(long, default_value_t = 5_000)]
    rate: u64,
    /// How long they do.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Those that stay.
    #[arg(long, default_value_t = 1_000)]
    healthy: usize,
    /// Messages per second.
    #[arg(long, default_value_t = 200)]
    messages: u64,
}

const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn run(options: &Options, setup: Setup, report: &mut Report) {
    let mut server = Server::start(setup, options.healthy);
    let place = setup.members();
    let mut healthy = Members::start(options.healthy, place.first());
    let coming = (options.rate * options.seconds) as usize;
    let mut others = Members::one(coming, place);
    healthy.connect(server.address(), Behaviour::audited(Topics::Common), report);
    let during = Duration::from_secs(options.seconds);
    let mut listen = |when: &str, server: &mut Server, report: &mut Report| -> f64 {
        let watch = server.watch();
        server.publish_steadily(&[COMMON], options.messages, during);
        let published = server.published(COMMON);
        let heard = healthy.wait_for(|share| share.len() as u64 * published, PATIENCE);
        watch.end(when, report);
        heard.audit(when, options.healthy as u64 * published, report);
        report.latency(when, &heard.latency)
    };
    let before = listen("before", &mut server, report);
    let behaviour = Behaviour {
        topics: Topics::Common,
        reads: Reads::Leaves,
        pace: Pace::Rate(options.rate as f64),
        receive_buffer: None,
    };
    others.begin(&[server.address()], behaviour);
    let meanwhile = listen("meanwhile", &mut server, report);
    let joined = others.join();
    report.row("ratio of the p99", meanwhile / before, "");
    let rate = (coming as u64 - joined.failed) as f64 / joined.took.as_secs_f64();
    report.row("came and left per second", rate, "/s");
    report.latency("from when one was due until it had its head", &joined.first_byte);
    report.check(joined.failed == 0, || format!("{} connections failed", joined.failed));
    let all_left = server.wait_for_leaving(options.healthy as u64, PATIENCE);
    report.check(all_left, || format!("{} subscribers stay", server.subscribers()));
}
