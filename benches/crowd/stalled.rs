//! Healthy subscribers of a topic while thousands of others don't read it, or hardly.

use std::{thread, time::Duration};

use clap::Args;

use super::{
    members::{Behaviour, Members},
    proc,
    report::Report,
    server::{Server, Setup},
    wire::{COMMON, Pace, Reads, Topics},
};

#[derive(Args)]
pub(super) struct Options {
    /// Those that don't read, or hardly.
    #[arg(long, default_value_t = 10_000)]
    stalled: usize,
    /// Of ten of these, how many read nothing, a byte per second, and for one second in four.
    #[arg(long, value_delimiter = ',', num_args = 3, default_values_t = [6, 2, 2])]
    tenths: Vec<usize>,
    /// Those that do.
    #[arg(long, default_value_t = 1_000)]
    healthy: usize,
    /// Messages per second.
    #[arg(long, default_value_t = 200)]
    messages: u64,
    /// Seconds that are measured, before and meanwhile; who stalls is cut after ten.
    #[arg(long, default_value_t = 7)]
    seconds: u64,
    /// Receive buffer of those that don't read.
    #[arg(long, default_value_t = 8 * 1024)]
    receive_buffer: usize,
}

/// How those that don't read do it, in the order of `--tenths`.
const WAYS: [Reads; 3] = [Reads::Never, Reads::Drips, Reads::StopsAndGoes];

/// Until then the buffers of those that don't read are full, or they read after all.
const FILL_MAX: Duration = Duration::from_secs(10);

const PATIENCE: Duration = Duration::from_secs(30);

/// The server with those that read, while something is the matter with others.
struct Healthy {
    server: Server,
    members: Members,
    messages: u64,
}

pub(super) fn run(options: &Options, setup: Setup, report: &mut Report) {
    let server = Server::start(setup, options.healthy + options.stalled);
    let members = Members::start(options.healthy, setup.members().first());
    let mut healthy = Healthy { server, members, messages: options.messages };
    println!("  {}", healthy.server.name());
    healthy.members.connect(healthy.server.address(), Behaviour::audited(Topics::Common), report);
    let during = Duration::from_secs(options.seconds);
    let memory = proc::pss();
    let before = healthy.listen("before", during, report);

    let mut stalled = stalled_members(options, setup, healthy.server.address(), report);
    healthy.fill(options, report);
    let meanwhile = healthy.listen("while they stall", during, report);
    report.aimed("ratio of the p99", meanwhile / before, "", "<= 1.2");
    weigh(options, &healthy.server, memory, report);
    healthy.listen("while they are cut", during, report);
    report.row("lagging after that", healthy.server.total(|core| core.lagging.get()) as f64, "");

    stalled.clear();
    healthy.members.leave();
    part(options, &healthy.server, report);
}

/// Connects those that don't read, share by share.
fn stalled_members(
    options: &Options,
    setup: Setup,
    server: std::net::SocketAddr,
    report: &mut Report,
) -> Vec<Members> {
    let start = |(&reads, &tenths): (&Reads, &usize)| {
        let count = options.stalled * tenths / 10;
        let mut members = Members::start(count, setup.members());
        let behaviour = Behaviour {
            topics: Topics::Common,
            reads,
            pace: Pace::Window(256),
            receive_buffer: Some(options.receive_buffer),
        };
        members.connect(server, behaviour, report);
        members
    };
    WAYS.iter().zip(&options.tenths).map(start).collect()
}

impl Healthy {
    /// Publishes until most of those that read nothing have no room for more.
    fn fill(&mut self, options: &Options, report: &mut Report) {
        const STEP: Duration = Duration::from_millis(250);
        let wanted = (options.stalled * options.tenths[0] / 10) as u64;
        let lagging = |server: &Server| server.total(|core| core.lagging.get());
        let mut filled = Duration::ZERO;
        while lagging(&self.server) < wanted && filled < FILL_MAX {
            self.server.publish_steadily(&[COMMON], self.messages, STEP);
            filled += STEP;
        }
        self.members.heard();
        report.row("until they have no room", filled.as_secs_f64(), "s");
    }

    /// Publishes for a while, and tells how late it came. Gives the p99.
    fn listen(&mut self, when: &str, during: Duration, report: &mut Report) -> f64 {
        let watch = self.server.watch();
        self.server.publish_steadily(&[COMMON], self.messages, during);
        watch.end(when, report);
        let published = self.server.published(COMMON);
        let heard = self.members.wait_for(|share| share.len() as u64 * published, PATIENCE);
        let members: u64 = self.members.shares().map(|share| share.len() as u64).sum();
        heard.audit(when, members * published, report);
        report.latency(when, &heard.latency)
    }
}

/// What the stalled hold.
fn weigh(options: &Options, server: &Server, before: f64, report: &mut Report) {
    let grown = proc::pss() - before;
    let lagging = server.total(|core| core.lagging.get());
    let mut queues = proc::send_queues(server.address().port());
    queues.sort_unstable();
    let (most, all) = (queues.last().copied().unwrap_or(0), queues.iter().sum::<u64>());
    report.row("lagging then", lagging as f64, "");
    report.row("user memory of one that stalls", grown / options.stalled as f64, "B");
    report.row("queued in the kernel for each", all as f64 / options.stalled as f64, "B");
    report.row("queued in the kernel for one, most", most as f64, "B");
}

/// Everybody has left: each connection has ended for one reason.
fn part(options: &Options, server: &Server, report: &mut Report) {
    let all_left = server.wait_for_leaving(0, PATIENCE);
    report.check(all_left, || format!("{} subscribers stay", server.subscribers()));
    // What is counted after a connection is forgotten.
    thread::sleep(Duration::from_millis(100));
    let ends = server.ends();
    for (reason, count) in &ends {
        report.row(format!("ended: {reason}"), *count as f64, "");
    }
    let ended: u64 = ends.iter().map(|(_, count)| count).sum();
    let accepted = server.total(|core| core.accepted.get());
    let stalled = options.tenths.iter().map(|tenths| options.stalled * tenths / 10);
    let known: usize = stalled.sum();
    report.check(ended == accepted, || format!("{accepted} accepted and {ended} ended"));
    report.check(accepted == (known + options.healthy) as u64, || {
        format!("{accepted} accepted and {} opened", known + options.healthy)
    });
}
