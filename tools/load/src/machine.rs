//! What the machine must allow before a run: open files, CPUs, addresses to connect from.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Files beside the subscribers' sockets: standard streams, ring, epoll, publisher, /proc.
const FILES_BESIDE: u64 = 64;
/// Connections from one source address. Linux looks for a local port in one half of its 28,232
/// first: beyond that half each connection costs a search. Measured, 19,000 subscribers connect in
/// 5.8 s from one address and in 0.5 s from two.
const CONNECTIONS_PER_SOURCE: u32 = 10_000;

/// The ports a connection may come from.
const PORT_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// How many processes hold `connections` sockets: `asked`, or as many as the limit on open files asks
/// for. The soft limit is raised as far as allowed: workers inherit it, and so does a server that this
/// tool starts, which needs as many.
///
/// # Errors
/// Names the limit and what mends it.
pub(crate) fn ensure_files(connections: u32, asked: Option<u32>) -> Result<u32, String> {
    let limit = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit { current: limit, maximum: limit };
    setrlimit(Resource::Nofile, raised)
        .map_err(|error| format!("raising RLIMIT_NOFILE to its hard limit: {error}"))?;
    let processes = match asked {
        Some(processes) => processes,
        None => processes_for(connections, limit)?,
    }
    .min(connections);
    let needed = files_of(connections.div_ceil(processes));
    match limit {
        Some(limit) if limit < needed => Err(format!(
            "{connections} subscribers in {processes} processes need {needed} open files each, but the \
             hard limit RLIMIT_NOFILE is {limit}; raise it (`ulimit -Hn {needed}` as root, or \
             LimitNOFILE= in systemd), or ask for more --processes"
        )),
        _ => Ok(processes),
    }
}

fn processes_for(connections: u32, limit: Option<u64>) -> Result<u32, String> {
    let Some(limit) = limit else { return Ok(1) };
    let each = limit.saturating_sub(FILES_BESIDE).min(u32::MAX.into()) as u32;
    match each {
        0 => Err(format!("the hard limit RLIMIT_NOFILE is {limit}: no subscriber fits")),
        each => Ok(connections.div_ceil(each)),
    }
}

fn files_of(connections: u32) -> u64 {
    u64::from(connections) + FILES_BESIDE
}

/// Runs `work` with this thread, and what it starts, on one CPU; the thread's own CPUs come back
/// afterwards. Without a CPU it just runs it.
///
/// # Errors
/// When there is no such CPU for this process.
pub(crate) fn pinned<T>(cpu: Option<usize>, work: impl FnOnce() -> T) -> Result<T, String> {
    let Some(cpu) = cpu else { return Ok(work()) };
    let before =
        sched_getaffinity(None).map_err(|error| format!("reading the CPU set: {error}"))?;
    pin(cpu)?;
    let result = work();
    sched_setaffinity(None, &before).map_err(|error| format!("restoring the CPU set: {error}"))?;
    Ok(result)
}

/// Keeps this thread, and threads it starts, on one CPU.
///
/// # Errors
/// When there is no such CPU for this process.
pub(crate) fn pin(cpu: usize) -> Result<(), String> {
    let mut set = CpuSet::new();
    if cpu >= CpuSet::MAX_CPU {
        return Err(format!("there is no CPU {cpu}"));
    }
    set.set(cpu);
    sched_setaffinity(None, &set).map_err(|error| format!("pinning to CPU {cpu}: {error}"))
}

/// Makes sure that `connections` can come from the addresses there are: each has so many ports.
///
/// # Errors
/// Names the limit and what mends it.
pub(crate) fn ensure_ports(
    connections: u32,
    target: SocketAddr,
    sources: &[IpAddr],
) -> Result<(), String> {
    if let Some(other) = sources.iter().find(|source| source.is_ipv4() != target.is_ipv4()) {
        return Err(format!("--source {other} is of another family than the server's {target}"));
    }
    if is_spread(connections, target) && sources.is_empty() {
        return Ok(());
    }
    let range = fs::read_to_string(PORT_RANGE).unwrap_or_default();
    let Some(ports) = ports(&range) else { return Ok(()) };
    let addresses = sources.len().max(1) as u64;
    match ports * addresses < u64::from(connections) {
        true => Err(format!(
            "{connections} subscribers, and {addresses} source address(es) with {ports} ports each: give more \
             by --source, or widen the range (`sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"`)"
        )),
        false => Ok(()),
    }
}

/// How many ports `first last` are.
fn ports(range: &str) -> Option<u64> {
    let mut bounds = range.split_ascii_whitespace().map(str::parse::<u64>);
    let (first, last) = (bounds.next()?.ok()?, bounds.next()?.ok()?);
    last.checked_sub(first).map(|between| between + 1)
}

/// The address subscriber `index` of `subscribers` connects from; `None`: the system may choose.
pub(crate) fn source(
    index: u32,
    subscribers: u32,
    target: SocketAddr,
    sources: &[IpAddr],
) -> Option<SocketAddr> {
    if !sources.is_empty() {
        return Some(SocketAddr::from((sources[index as usize % sources.len()], 0)));
    }
    if !is_spread(subscribers, target) {
        return None;
    }
    let host = 1 + index / CONNECTIONS_PER_SOURCE;
    let address = Ipv4Addr::new(127, 0, (host / 250) as u8, (host % 250) as u8);
    Some(SocketAddr::from((address, 0)))
}

/// Whether connections are spread over the addresses of the loopback network.
fn is_spread(connections: u32, target: SocketAddr) -> bool {
    let is_local = matches!(target.ip(), IpAddr::V4(address) if address.is_loopback());
    connections > CONNECTIONS_PER_SOURCE && is_local
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_connections_spread_over_loopback() {
        let target = SocketAddr::from(([127, 0, 0, 1], 80));
        assert_eq!(source(0, 10_000, target, &[]), None);
        let from =
            |index| source(index, 100_000, target, &[]).map(|address| address.ip().to_string());
        assert_eq!(from(0).as_deref(), Some("127.0.0.1"));
        assert_eq!(from(9_999).as_deref(), Some("127.0.0.1"));
        assert_eq!(from(99_999).as_deref(), Some("127.0.0.10"));
        assert_eq!(source(50_000, 100_000, SocketAddr::from(([10, 0, 0, 1], 80)), &[]), None);
    }

    #[test]
    fn addresses_that_are_given_take_turns() {
        let target = SocketAddr::from(([10, 0, 0, 1], 80));
        let given = [IpAddr::from([10, 0, 0, 2]), IpAddr::from([10, 0, 0, 3])];
        let from = |index| source(index, 10, target, &given).map(|address| address.ip());
        assert_eq!((from(0), from(1), from(2)), (Some(given[0]), Some(given[1]), Some(given[0])));
    }

    #[test]
    fn more_subscribers_than_ports_are_refused_by_name() {
        assert_eq!((ports("32768\t60999\n"), ports("x"), ports("2 1")), (Some(28_232), None, None));
        let remote = SocketAddr::from(([10, 0, 0, 1], 80));
        let error = ensure_ports(70_000, remote, &[]).expect_err("there are fewer ports");
        assert!(error.contains("--source") && error.contains("ip_local_port_range"), "{error}");
        assert!(ensure_ports(100, remote, &[]).is_ok());
        assert!(ensure_ports(500_000, SocketAddr::from(([127, 0, 0, 1], 80)), &[]).is_ok());
        assert!(ensure_ports(1, remote, &[IpAddr::from([0_u16; 8])]).is_err());
    }

    #[test]
    fn more_connections_than_files_take_more_processes() {
        assert_eq!(processes_for(1_000, Some(1_064)), Ok(1));
        assert_eq!(processes_for(1_001, Some(1_064)), Ok(2));
        assert_eq!(processes_for(1_000_000, None), Ok(1));
        assert!(processes_for(1, Some(10)).is_err());
        assert_eq!(ensure_files(10, Some(3)), Ok(3));
        assert_eq!(ensure_files(2, Some(3)), Ok(2), "none has nothing to do");
    }

    #[test]
    fn too_few_files_are_refused_by_name() {
        let limit = getrlimit(Resource::Nofile).maximum;
        if limit.is_some_and(|limit| limit < 1_000_000) {
            let error = ensure_files(1_000_000, Some(1)).expect_err("above the limit");
            assert!(error.contains("RLIMIT_NOFILE") && error.contains("--processes"), "{error}");
        }
    }

    #[test]
    fn pinning_is_undone() {
        let cpus = || sched_getaffinity(None).expect("readable").count();
        let before = cpus();
        let first = (0..CpuSet::MAX_CPU)
            .find(|&cpu| sched_getaffinity(None).is_ok_and(|set| set.is_set(cpu)));
        assert_eq!(pinned(first, cpus), Ok(1));
        assert_eq!(cpus(), before);
        assert!(pin(CpuSet::MAX_CPU).is_err());
    }
}
