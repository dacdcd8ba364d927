//! What a server's processes cost, from /proc: CPU time, proportional memory (PSS), context switches, and
//! what the kernel keeps for its sockets.

use std::fs;
use std::time::Duration;

/// What some processes have used so far, and hold.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) processes: u32,
    /// All threads, in ticks of 10 ms as a rule.
    pub(crate) cpu: Duration,
    /// Memory, shared pages in proportion.
    pub(crate) pss_bytes: u64,
    pub(crate) voluntary_switches: u64,
    pub(crate) involuntary_switches: u64,
}

impl Usage {
    /// Of the processes `pids` and all they have started.
    ///
    /// # Errors
    /// In words, when one of `pids` is not there or may not be looked into.
    pub(crate) fn read(pids: &[u32]) -> Result<Self, String> {
        let mut usage = Self::default();
        for pid in with_descendants(pids) {
            match Self::of(pid) {
                Ok(one) => usage.add(&one),
                // One that a server has started may end at any time.
                Err(error) if pids.contains(&pid) => return Err(error),
                Err(_) => {}
            }
        }
        Ok(usage)
    }

    fn of(pid: u32) -> Result<Self, String> {
        let (voluntary_switches, involuntary_switches) = switches(pid);
        Ok(Self {
            processes: 1,
            cpu: cpu_time(pid)?,
            pss_bytes: pss_bytes(pid)?,
            voluntary_switches,
            involuntary_switches,
        })
    }

    fn add(&mut self, other: &Self) {
        self.processes += other.processes;
        self.cpu += other.cpu;
        self.pss_bytes += other.pss_bytes;
        self.voluntary_switches += other.voluntary_switches;
        self.involuntary_switches += other.involuntary_switches;
    }
}

/// Bytes the kernel holds for sockets and objects, of the whole machine: the buffers of TCP and all slabs.
pub(crate) fn kernel_bytes() -> u64 {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let tcp = tcp_pages(&read("/proc/net/sockstat")) * rustix::param::page_size() as u64;
    tcp + meminfo_bytes(&read("/proc/meminfo"), "Slab:")
}

/// CPU time of process `pid` so far, all threads.
fn cpu_time(pid: u32) -> Result<Duration, String> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let ticks = cpu_ticks(&stat).ok_or_else(|| format!("{path}: not as expected"))?;
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

fn pss_bytes(pid: u32) -> Result<u64, String> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let rollup = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let kib = rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().split(' ').next());
    let kib = kib.and_then(|kib| kib.parse::<u64>().ok());
    kib.map(|kib| kib * 1_024).ok_or_else(|| format!("{path}: no Pss"))
}

/// Context switches of all threads that are left: those it asked for, those it was made to.
fn switches(pid: u32) -> (u64, u64) {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.fold((0, 0), |(voluntary, involuntary), task| {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let count = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name));
            value.and_then(|value| value.trim().parse::<u64>().ok()).unwrap_or(0)
        };
        let own = (count("voluntary_ctxt_switches:"), count("nonvoluntary_ctxt_switches:"));
        (voluntary + own.0, involuntary + own.1)
    })
}

/// `pids`, and all processes that descend from them.
fn with_descendants(pids: &[u32]) -> Vec<u32> {
    let mut family = pids.to_vec();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all: Vec<(u32, u32)> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(|pid| {
            Some((pid, parent(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))
        })
        .collect();
    let mut at = 0;
    while let Some(&ancestor) = family.get(at) {
        let children = all.iter().filter(|(_, parent)| *parent == ancestor).map(|(pid, _)| *pid);
        let new: Vec<u32> = children.filter(|pid| !family.contains(pid)).collect();
        family.extend(new);
        at += 1;
    }
    family
}

/// What follows the name in field 2, which may hold anything.
fn after_name(stat: &str) -> Option<std::str::SplitAsciiWhitespace<'_>> {
    Some(stat[stat.rfind(')')? + 1..].split_ascii_whitespace())
}

/// Field 4.
fn parent(stat: &str) -> Option<u32> {
    after_name(stat)?.nth(1)?.parse().ok()
}

/// Fields 14 and 15, user and system time.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = after_name(stat)?.skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(ticks()? + ticks()?)
}

/// `TCP: inuse 5 orphan 0 tw 0 alloc 6 mem 1`
fn tcp_pages(sockstat: &str) -> u64 {
    let tcp = sockstat.lines().find_map(|line| line.strip_prefix("TCP:"));
    let pages = tcp.and_then(|tcp| tcp.split(" mem ").nth(1)?.trim().parse().ok());
    pages.unwrap_or(0)
}

fn meminfo_bytes(meminfo: &str, name: &str) -> u64 {
    let value = meminfo.lines().find_map(|line| line.strip_prefix(name));
    let kib = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_can_be_read() {
        let usage = Usage::read(&[std::process::id()]).expect("it is there");
        assert!(usage.processes >= 1 && usage.pss_bytes > 100_000, "{usage:?}");
        assert!(usage.voluntary_switches + usage.involuntary_switches > 0, "{usage:?}");
        assert!(Usage::read(&[u32::MAX]).is_err());
        assert!(kernel_bytes() > 1 << 20);
    }

    #[test]
    fn what_a_process_has_started_belongs_to_it() {
        let mut child = std::process::Command::new("sleep").arg("10").spawn().expect("it starts");
        let family = with_descendants(&[std::process::id()]);
        child.kill().and_then(|()| child.wait()).expect("it was running");
        assert!(family.contains(&child.id()) && family.contains(&std::process::id()), "{family:?}");
        assert!(!family.contains(&1), "{family:?}");
    }

    #[test]
    fn a_process_name_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20";
        assert_eq!((cpu_ticks(stat), parent(stat)), (Some(300), Some(1)));
        assert_eq!((cpu_ticks("7 (x) S"), parent("7 (x) S")), (None, None));
    }

    #[test]
    fn the_kernel_tells_what_sockets_hold() {
        let sockstat =
            "sockets: used 3\nTCP: inuse 5 orphan 0 tw 0 alloc 6 mem 17\nUDP: inuse 1 mem 2\n";
        assert_eq!((tcp_pages(sockstat), tcp_pages("")), (17, 0));
        assert_eq!(meminfo_bytes("MemTotal: 9 kB\nSlab:     12 kB\n", "Slab:"), 12_288);
    }
}
