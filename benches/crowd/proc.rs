//! What the kernel says of this machine and process, from /proc.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use rustix::{
    process::{Resource, Rlimit, getpriority_process, getrlimit, setpriority_process, setrlimit},
    thread::{CpuSet, sched_setaffinity},
};

/// CPU of the cores, and of everybody else.
pub(super) const SERVER_CPU: usize = 0;
pub(super) const MEMBERS_CPU: usize = 1;

/// Keeps this thread, and those it starts, on one CPU, or lets it run anywhere.
pub(super) fn pin(cpu: Option<usize>) {
    let mut set = CpuSet::new();
    match cpu {
        Some(cpu) => set.set(cpu),
        None => (0..CpuSet::MAX_CPU).for_each(|cpu| set.set(cpu)),
    }
    sched_setaffinity(None, &set).expect("the benchmark needs two CPUs");
}

/// The priority that this process was started with, which is everybody's: `nice -n -10` before the
/// command keeps the rest of a busy machine out of the figures.
pub(super) fn ordinary() -> i32 {
    static ORDINARY: OnceLock<i32> = OnceLock::new();
    *ORDINARY.get_or_init(|| getpriority_process(None).expect("this process is there"))
}

/// The priority of what is measured where it shares its CPU with what is not.
pub(super) fn first() -> i32 {
    (ordinary() - 10).max(-20)
}

/// Gives this thread a priority, which those that it starts inherit.
pub(super) fn set_priority(priority: i32) {
    if setpriority_process(Some(rustix::thread::gettid()), priority).is_err() {
        eprintln!("no right to a higher priority: the latencies are those of a busy reader too");
    }
}

/// Raises the soft limit of descriptors as far as it goes.
pub(super) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).expect("the limit allowed is allowed");
}

/// The threads of this process's cores, by their place in /proc.
pub(super) fn core_threads() -> Vec<PathBuf> {
    let tasks = fs::read_dir("/proc/self/task").expect("/proc is there");
    let is_core = |path: &PathBuf| {
        fs::read_to_string(path.join("comm")).is_ok_and(|name| name.starts_with("fanfare-core"))
    };
    tasks.map(|task| task.expect("it is listed").path()).filter(is_core).collect()
}

/// CPU time of a thread, and how long it was ready and waited for a CPU that others had.
pub(super) fn cpu_time(thread: &Path) -> (Duration, Duration) {
    let statistics = fs::read_to_string(thread.join("schedstat")).expect("it runs");
    let mut fields = statistics.split(' ').map_while(|field| field.parse().ok());
    let mut next = || Duration::from_nanos(fields.next().expect("these are the first two fields"));
    (next(), next())
}

/// Bytes of this process's memory, shared pages in proportion.
pub(super) fn pss() -> f64 {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").expect("/proc is there");
    let kib = rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().split(' ').next());
    kib.and_then(|kib| kib.parse::<f64>().ok()).expect("it has a line for it") * 1024.0
}

/// Bytes of the kernel's memory in use, by the cache they come from. An object counts with its share
/// of its slab's pages. None without the right to look.
pub(super) fn slabs() -> Option<BTreeMap<String, f64>> {
    let text = fs::read_to_string("/proc/slabinfo").ok()?;
    let cache = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let number = |nth: usize| fields.get(nth)?.parse::<f64>().ok();
        let (active, per_slab, pages) = (number(1)?, number(4)?, number(5)?);
        let page = rustix::param::page_size() as f64;
        Some((fields[0].to_owned(), active * pages * page / per_slab))
    };
    Some(text.lines().filter_map(cache).collect())
}

/// Bytes that the kernel holds for each established connection of this port's server, to be sent or
/// to be acknowledged.
pub(super) fn send_queues(port: u16) -> Vec<u64> {
    const ESTABLISHED: &str = "01";
    let text = fs::read_to_string("/proc/net/tcp").expect("/proc is there");
    let local_port = format!(":{port:04X}");
    let queue = |line: &str| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let is_ours = fields.next()?.ends_with(&local_port);
        let is_established = fields.nth(1)? == ESTABLISHED;
        let (sending, _) = fields.next()?.split_once(':')?;
        (is_ours && is_established).then(|| u64::from_str_radix(sending, 16).ok())?
    };
    text.lines().filter_map(queue).collect()
}

/// What the machine is, for whoever reads the numbers later.
pub(super) fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = rustix::system::uname();
    format!("{cpus} CPUs, Linux {}", kernel.release().to_string_lossy())
}

/// As the server's binary does: with them a heap grows by 2 MiB at a time.
pub(super) fn refuse_huge_pages() {
    rustix::thread::disable_transparent_huge_pages(true).expect("it may have less");
}
