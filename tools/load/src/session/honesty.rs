//! Whether the tester measured the server, or itself.

use hdrhistogram::Histogram;

use super::book::Part;

/// A worker receives on one thread: using so much of a core it may be late itself.
const BUSY_CORES: f64 = 0.9;
/// Its event loop may be so late for its own reasons before that is held against it.
const LAG_FREE_US: u64 = 5_000;
/// Beyond that, its lag may be so large a part of the latency it tells of.
const LAG_SHARE: f64 = 0.25;
/// Where no latency is told, it may be so late.
const LAG_ALONE_US: u64 = 100_000;
/// What may wait in a socket on average: a read takes as much at once.
const BACKLOG_BYTES: f64 = 64.0 * 1_024.0;

impl Part {
    /// Why what was measured in it may be the tester's own doing; nothing: it is the server's.
    pub(crate) fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        let seconds = self.seconds();
        let busiest = self.cpu_ns.iter().copied().max().unwrap_or(0) as f64 / 1e9;
        if seconds > 0.0 && busiest > BUSY_CORES * seconds {
            let cores = busiest / seconds;
            doubts.push(format!("a worker used {cores:.2} of the one core it can use"));
        }
        let lag_us = self.watch.loop_lag.value_at_quantile(0.99);
        let allowed_us = allowed_lag_us(&self.tally.latency);
        if lag_us > allowed_us {
            doubts.push(format!(
                "its event loops were {:.1} ms late at p99, where {:.1} ms are beyond doubt",
                lag_us as f64 / 1e3,
                allowed_us as f64 / 1e3
            ));
        }
        let backlog = self.mean_backlog();
        if backlog > BACKLOG_BYTES {
            let kib = backlog / 1_024.0;
            doubts.push(format!("{kib:.0} KiB waited unread in a socket on average"));
        }
        doubts
    }

    /// Bytes that waited unread in the sockets that were looked at.
    pub(super) fn mean_backlog(&self) -> f64 {
        self.watch.backlog_bytes as f64 / self.watch.looks.max(1) as f64
    }
}

fn allowed_lag_us(latency: &Histogram<u64>) -> u64 {
    match latency.is_empty() {
        true => LAG_ALONE_US,
        false => LAG_FREE_US.max((latency.value_at_quantile(0.99) as f64 * LAG_SHARE) as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(cpu_seconds: f64, lag_us: u64, latency_us: Option<u64>) -> Part {
        let mut part = Part { to_ns: 2_000_000_000, ..Part::default() };
        part.cpu_ns = vec![1, (cpu_seconds * 1e9) as u64];
        part.watch.loop_lag.saturating_record(lag_us);
        if let Some(us) = latency_us {
            part.tally.latency.saturating_record(us);
        }
        part
    }

    #[test]
    fn a_tester_with_time_to_spare_is_beyond_doubt() {
        assert!(part(1.0, 1_000, Some(1_000)).doubts().is_empty());
        assert!(part(1.0, 20_000, Some(100_000)).doubts().is_empty());
        assert!(part(1.0, 90_000, None).doubts().is_empty());
    }

    #[test]
    fn each_reason_to_doubt_is_named() {
        for (part, reason) in [
            (part(1.9, 1_000, Some(1_000)), "of the one core"),
            (part(1.0, 6_000, Some(1_000)), "late at p99"),
            (part(1.0, 30_000, Some(100_000)), "late at p99"),
            (part(1.0, 110_000, None), "late at p99"),
        ] {
            let doubts = part.doubts();
            assert!(doubts.len() == 1 && doubts[0].contains(reason), "{reason}: {doubts:?}");
        }
        let mut part = part(1.0, 1_000, None);
        (part.watch.looks, part.watch.backlog_bytes) = (10, 10_000_000);
        assert!(part.doubts()[0].contains("unread"));
    }
}
