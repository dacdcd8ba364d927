//! The report as people read it: one row per question.

use std::fmt::{self, Write as _};

use super::{
    ConnectReport, DeliveryReport, LatencyReport, PublishReport, Report, ServerReport,
    TesterReport, Verdict,
};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, connect, publish, delivery, latency_ms: latency, audit, .. } = self;
        let faults = &audit.faults;
        writeln!(
            f,
            "{} subscribers x {} msg/s x {} bytes for {} s, topic \"{}\"",
            count(setting.subscribers.into()),
            count(setting.rate as u64),
            count(setting.size_bytes as u64),
            setting.duration_seconds,
            setting.topic
        )?;
        let started = if setting.server_started_here { " (started for this run)" } else { "" };
        row(f, "server", format_args!("{}{started}", setting.target))?;
        row(f, "receiving on", format_args!("{} ({})", setting.runtime, setting.runtime_why))?;
        row(f, "connected", connect)?;
        row(f, "published", format_args!("{publish}, by {}", setting.publish_mode))?;
        row(f, "delivered", delivery)?;
        row(f, "latency", latency)?;
        row(
            f,
            "audit",
            format_args!(
                "missing {}, duplicated {}, reordered {}, corrupted {}; subscribers cut {}",
                count(faults.missing),
                count(faults.duplicated),
                count(faults.reordered),
                count(faults.corrupted),
                count(audit.cut.into())
            ),
        )?;
        for example in &audit.examples {
            row(f, "", example)?;
        }
        if let Some(server) = &self.server {
            row(f, "server used", server)?;
        }
        row(f, "tester used", &self.tester)?;
        if self.tester.saturated {
            row(f, "note", "the tester was busy all the time: part of the latency may be its own")?;
        }
        if !setting.optimised {
            row(f, "note", "this tester was built without optimisation: trust no figure")?;
        }
        row(f, "verdict", self.verdict)
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, value: impl fmt::Display) -> fmt::Result {
    writeln!(f, "  {name:<13} {value}")
}

impl fmt::Display for ConnectReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, per_second, p50_ms, max_ms } = self;
        let rate = count(*per_second as u64);
        write!(f, "in {seconds:.3} s ({rate}/s), each in p50 {p50_ms:.1} ms, max {max_ms:.1} ms")
    }
}

impl fmt::Display for PublishReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = count(self.per_second.round() as u64);
        write!(f, "{} messages at {rate}/s", count(self.messages))?;
        write!(f, ", {} accepted, at most {:.1} ms late", count(self.accepted), self.lag_max_ms)?;
        match &self.error {
            Some(error) => write!(f, ", then: {error}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for DeliveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = count(self.per_second.round() as u64);
        write!(f, "{} of {}, {rate}/s", count(self.delivered), count(self.expected))?;
        write!(f, ", {:.1} MB/s", self.bytes_per_second / 1e6)?;
        match self.foreign_events {
            0 => Ok(()),
            foreign => write!(f, ", and {} events of others", count(foreign)),
        }
    }
}

impl fmt::Display for LatencyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p90, p99, p99_9, max, .. } = self;
        write!(f, "p50 {p50:.2} ms, p90 {p90:.2}, p99 {p99:.2}, p99.9 {p99_9:.2}, max {max:.2}")?;
        f.write_str(" (from the intended publish time)")
    }
}

impl fmt::Display for ServerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu_seconds, cpu_cores, cpu_us_per_delivery, .. } = self;
        write!(f, "{cpu_seconds:.2} s of CPU ({cpu_cores:.2} cores)")?;
        write!(f, ", {cpu_us_per_delivery:.3} us per delivery; memory (PSS)")?;
        write!(f, " {} at the start", mib(self.pss_bytes_start))?;
        write!(f, ", {} with all connected", mib(self.pss_bytes_ready))?;
        write!(f, " ({} B per subscriber)", count(self.pss_bytes_per_subscriber.round() as u64))?;
        write!(f, ", {} at most", mib(self.pss_bytes_peak))
    }
}

impl fmt::Display for TesterReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu_seconds, cpu_cores, cpu_us_per_delivery, .. } = self;
        write!(f, "{cpu_seconds:.2} s of CPU ({cpu_cores:.2} cores)")?;
        write!(f, ", {cpu_us_per_delivery:.3} us per delivery")
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed: every delivery arrived intact, once and in order",
            Self::Failed => "FAILED",
        })
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0))
}

/// A number with commas between its thousands.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        let _ = text.write_char(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let shown = [0, 999, 1_000, 12_345, 1_234_567].map(count);
        assert_eq!(shown, ["0", "999", "1,000", "12,345", "1,234,567"]);
    }
}
