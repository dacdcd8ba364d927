//! How much the kernel may queue in sockets: what many slow readers use up.

use fanfare::limits;
use rustix::param::page_size;

use super::{
    finding::{Finding, Level, grouped, mend},
    proc,
};

/// What a reader that has stopped reading holds of the kernel's memory, at most, as measured: see
/// ARCHITECTURE.md, limits.
const STALLED_READER_BYTES: u64 = 53 * 1024;

/// Fewer stalled readers than this should not be felt by everybody else.
const STALLED_READERS_PLENTY: u64 = 1_000;

pub(super) fn check() -> Vec<Finding> {
    vec![
        match proc::numbers("/proc/sys/net/ipv4/tcp_mem").as_deref() {
            Some(&[_, pressure, _]) => judge_queues(pressure, page_size() as u64),
            _ => Finding::unknown("tcp_mem", "net.ipv4.tcp_mem cannot be read"),
        },
        match proc::number("/proc/sys/net/core/wmem_max") {
            Some(bytes) => judge_send_buffer(bytes),
            None => Finding::unknown("wmem_max", "net.core.wmem_max cannot be read"),
        },
    ]
}

/// An idle subscriber has nothing queued; what it costs the kernel is not counted here.
fn judge_queues(pressure_pages: u64, page_bytes: u64) -> Finding {
    let bytes = pressure_pages.saturating_mul(page_bytes);
    let readers = bytes / STALLED_READER_BYTES;
    let level = if readers < STALLED_READERS_PLENTY { Level::Warning } else { Level::Ok };
    let found = format!("{} MiB until the kernel saves (net.ipv4.tcp_mem)", grouped(bytes >> 20));
    let means = format!("{} readers may stall at a time before others feel it", grouped(readers));
    Finding::new("tcp_mem", level, found, means)
        .mended_by(&[mend("sysctl", "sysctl -w net.ipv4.tcp_mem=\"65536 131072 262144\"")])
}

fn judge_send_buffer(max: u64) -> Finding {
    let asked = limits::SEND_BUFFER_BYTES as u64;
    let level = if max < asked { Level::Warning } else { Level::Ok };
    let found = format!("net.core.wmem_max is {}", grouped(max));
    let means = format!(
        "a connection that catches up may queue {} KiB at a time, of the {} KiB it asks for",
        max.min(asked) >> 10,
        asked >> 10
    );
    Finding::new("wmem_max", level, found, means)
        .mended_by(&[mend("sysctl", "sysctl -w net.core.wmem_max=212992")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_as_readers_that_stall() {
        let plenty = judge_queues(131_072, 4_096);
        assert_eq!(plenty.level(), Level::Ok);
        assert!(plenty.to_text().contains("9,892 readers"), "{}", plenty.to_text());
        assert_eq!(judge_queues(1_000, 4_096).level(), Level::Warning);
        assert_eq!(judge_queues(u64::MAX, 65_536).level(), Level::Ok);
        assert_eq!(judge_send_buffer(212_992).level(), Level::Ok);
        assert_eq!(judge_send_buffer(4_096).level(), Level::Warning);
    }
}
