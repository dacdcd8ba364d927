//! What an idle subscriber costs: in this process by its proportional pages, in the kernel by its
//! caches.
//!
//! Both ends of a loopback connection are on this machine. The control is as many pairs of plain
//! sockets, of which each end is a half; whatever a subscriber has beyond a pair is the server's.

use std::{collections::BTreeMap, thread, time::Duration};

use clap::Args;
use fanfare::DriverChoice;

use super::{
    members::{Behaviour, Members, Place},
    proc,
    report::Report,
    server::{Server, Setup},
    wire::{Pace, Reads, Topics},
};

#[derive(Args)]
pub(super) struct Options {
    /// Connections, each number in turn.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000])]
    connections: Vec<usize>,
    /// Seconds until what is temporary has gone: the deadline of a head is 10 s.
    #[arg(long, default_value_t = 15)]
    settle: u64,
}

/// Bytes of the kernel's memory by cache.
type Caches = BTreeMap<String, f64>;

/// Quiet before anything is counted.
const QUIET: Duration = Duration::from_secs(1);

/// What sockets, their files and their registrations are made of; other caches grow by what the rest
/// of the machine does.
const CACHES: [&str; 12] = [
    "TCP",
    "sock_inode_cache",
    "dentry",
    "filp",
    "lsm_file_cache",
    "lsm_inode_cache",
    "io_kiocb",
    "skbuff_small_head",
    "kmalloc-32",
    "kmalloc-64",
    "kmalloc-96",
    "kmalloc-192",
];

/// What a registration with epoll is made of. Ports share a cache with them, so members grow these too,
/// but over io_uring the server does not.
const REGISTRATIONS: [&str; 2] = ["eventpoll_epi", "eventpoll_pwq"];

const IDLE: Behaviour = Behaviour {
    topics: Topics::Common,
    reads: Reads::Never,
    pace: Pace::Window(256),
    receive_buffer: None,
};

pub(super) fn run(options: &Options, setup: Setup, report: &mut Report) {
    let settle = Duration::from_secs(options.settle);
    for &connections in &options.connections {
        let pairs = proc::slabs().is_some().then(|| plain_pairs(connections, setup, settle));
        subscribers(connections, setup, settle, pairs, report);
    }
}

/// Bytes of a pair of plain sockets.
fn plain_pairs(connections: usize, setup: Setup, settle: Duration) -> Caches {
    let place: Place = setup.members();
    let mut holders = Members::start(connections, place);
    let servers = holders.hold();
    let mut members = Members::start(connections, place);
    thread::sleep(QUIET);
    let before = proc::slabs().unwrap_or_default();
    members.begin(&servers, IDLE);
    members.join();
    thread::sleep(settle);
    per_connection(&before, connections)
}

fn subscribers(
    connections: usize,
    setup: Setup,
    settle: Duration,
    pairs: Option<Caches>,
    report: &mut Report,
) {
    let server = Server::start(setup, connections);
    let mut members = Members::start(connections, setup.members());
    thread::sleep(QUIET);
    let before = (proc::pss(), proc::slabs().unwrap_or_default());
    members.connect(server.address(), IDLE, report);
    thread::sleep(settle);
    println!("  {connections} connections, {}", server.name());
    let name = |what: &str| format!("{connections} connections, {what}");
    let user = (proc::pss() - before.0) / connections as f64;
    report.aimed(name("user memory of each"), user, "B", "<= 256 B");
    let Some(pairs) = pairs else {
        println!("  /proc/slabinfo may not be read: no figure of the kernel's memory");
        return;
    };
    let grown = per_connection(&before.1, connections);
    let (mut kernel, mut plain) = (0.0, 0.0);
    let registrations = match setup.driver {
        DriverChoice::Epoll => &REGISTRATIONS[..],
        DriverChoice::Auto | DriverChoice::Uring => &[],
    };
    for cache in CACHES.iter().chain(registrations) {
        let of = |caches: &Caches| caches.get(*cache).copied().unwrap_or(0.0);
        let (both, pair) = (of(&grown), of(&pairs));
        let others = if registrations.contains(cache) { pair } else { pair / 2.0 };
        kernel += both - others;
        plain += pair - others;
        println!(
            "    {cache:18} {both:8.0} B, a plain pair {pair:8.0} B, ours {:8.0} B",
            both - others
        );
    }
    report.row(name("kernel memory of a plain socket"), plain, "B");
    report.row(name("kernel memory of each"), kernel, "B");
    report.aimed(name("memory of each in all"), user + kernel, "B", "<= 4,500 B");
    let subscribers = server.subscribers();
    report.check(subscribers == connections as u64, || format!("{subscribers} subscribers"));
}

/// What the caches have grown by since then, for each connection.
fn per_connection(before: &Caches, connections: usize) -> Caches {
    let grown = |(cache, bytes): (String, f64)| {
        let before = before.get(&cache).copied().unwrap_or(0.0);
        (cache, (bytes - before) / connections as f64)
    };
    proc::slabs().unwrap_or_default().into_iter().map(grown).collect()
}
