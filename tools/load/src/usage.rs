//! What a process costs, from /proc: CPU time and proportional memory (PSS).

use std::fs;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often the memory is looked at. Each look walks the process's page tables.
const SAMPLE_EVERY: Duration = Duration::from_millis(200);

/// CPU time of process `pid` so far, all threads, in ticks of 10 ms as a rule.
///
/// # Errors
/// In words, when there is no such process.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration, String> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let ticks = cpu_ticks(&stat).ok_or_else(|| format!("{path}: not as expected"))?;
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// Bytes of memory of process `pid`, shared pages in proportion.
///
/// # Errors
/// In words, when there is no such process or it may not be looked into.
pub(crate) fn pss_bytes(pid: u32) -> Result<u64, String> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let rollup = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let kib = rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().split(' ').next());
    let kib = kib.and_then(|kib| kib.parse::<u64>().ok());
    kib.map(|kib| kib * 1_024).ok_or_else(|| format!("{path}: no Pss"))
}

/// Fields 14 and 15, user and system time. The name in field 2 may hold anything, so count from
/// its closing parenthesis.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(ticks()? + ticks()?)
}

/// Watches the memory of a process until it is asked for the peak.
#[derive(Debug)]
pub(crate) struct MemoryWatch {
    stop: Sender<()>,
    thread: JoinHandle<u64>,
}

impl MemoryWatch {
    /// Starts to watch `pid`.
    pub(crate) fn start(pid: u32) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut peak = 0;
            loop {
                peak = peak.max(pss_bytes(pid).unwrap_or(0));
                if stopped.recv_timeout(SAMPLE_EVERY) != Err(RecvTimeoutError::Timeout) {
                    return peak.max(pss_bytes(pid).unwrap_or(0));
                }
            }
        });
        Self { stop, thread }
    }

    /// The highest value seen.
    pub(crate) fn peak_bytes(self) -> u64 {
        drop(self.stop);
        self.thread.join().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_can_be_read() {
        let pid = std::process::id();
        assert!(pss_bytes(pid).is_ok_and(|bytes| bytes > 100_000));
        assert!(cpu_time(pid).is_ok());
        assert!(MemoryWatch::start(pid).peak_bytes() > 100_000);
        assert!(cpu_time(u32::MAX).is_err());
    }

    #[test]
    fn a_process_name_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("7 (x) S"), None);
    }
}
