//! What a run has shown: one table for people, one JSON document for machines, one verdict.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::args::{Args, PublishMode};
use crate::audit::Faults;
use crate::link::RuntimeName;
use crate::publisher::Outcome;
use crate::subscriber::Crew;

/// The tester receives on one thread: using so much of a core it may be late itself.
const SATURATED_CORES: f64 = 0.95;

/// Under what conditions a run was made.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    /// The command line.
    pub(crate) args: &'a Args,
    /// The server's URL.
    pub(crate) target: String,
    /// This tool has started the server.
    pub(crate) started: bool,
    /// What has received, and why.
    pub(crate) runtime_name: RuntimeName,
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Measured {
    /// The subscribers, all ended.
    pub(crate) crew: Rc<RefCell<Crew>>,
    /// What was published.
    pub(crate) published: Outcome,
    /// What the server used, if it is known.
    pub(crate) server: Option<ServerUsage>,
    /// CPU time of this process while publishing and delivering.
    pub(crate) cpu: Duration,
    /// From the first connection to the last response head.
    pub(crate) ready_ns: u64,
    /// From the first publish to the last delivery.
    pub(crate) wall_ns: u64,
    /// Subscribers that the server has ended.
    pub(crate) cut: u32,
}

/// What the server's process used.
#[derive(Debug)]
pub(crate) struct ServerUsage {
    /// CPU time while publishing and delivering.
    pub(crate) cpu: Duration,
    /// PSS before the first connection.
    pub(crate) memory_before: u64,
    /// PSS when all subscribers were ready.
    pub(crate) memory_ready: u64,
    /// Highest PSS seen.
    pub(crate) memory_peak: u64,
}

/// Whether the server kept what a broadcast promises.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// Every delivery arrived intact, once and in order.
    Passed,
    /// One did not, or a publish failed.
    Failed,
}

/// A finished run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    verdict: Verdict,
    setting: SettingReport,
    connect: ConnectReport,
    publish: PublishReport,
    delivery: DeliveryReport,
    latency_ms: LatencyReport,
    audit: AuditReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<ServerReport>,
    tester: TesterReport,
}

#[derive(Debug, Serialize)]
struct SettingReport {
    target: String,
    server_started_here: bool,
    topic: String,
    subscribers: u32,
    rate: f64,
    duration_seconds: f64,
    size_bytes: usize,
    publish_mode: &'static str,
    runtime: &'static str,
    runtime_why: String,
    optimised: bool,
}

#[derive(Debug, Serialize)]
struct ConnectReport {
    seconds: f64,
    per_second: f64,
    p50_ms: f64,
    max_ms: f64,
}

#[derive(Debug, Serialize)]
struct PublishReport {
    messages: u64,
    accepted: u64,
    per_second: f64,
    lag_max_ms: f64,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct DeliveryReport {
    expected: u64,
    delivered: u64,
    per_second: f64,
    bytes: u64,
    bytes_per_second: f64,
    foreign_events: u64,
}

/// From the intended publish time to the read that brought the event.
#[derive(Debug, Serialize)]
struct LatencyReport {
    min: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    p99_9: f64,
    max: f64,
    mean: f64,
}

#[derive(Debug, Serialize)]
struct AuditReport {
    #[serde(flatten)]
    faults: Faults,
    cut: u32,
    examples: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ServerReport {
    cpu_seconds: f64,
    cpu_cores: f64,
    cpu_us_per_delivery: f64,
    pss_bytes_start: u64,
    pss_bytes_ready: u64,
    pss_bytes_peak: u64,
    pss_bytes_per_subscriber: f64,
}

#[derive(Debug, Serialize)]
struct TesterReport {
    cpu_seconds: f64,
    cpu_cores: f64,
    cpu_us_per_delivery: f64,
    /// It had no CPU time to spare.
    saturated: bool,
    /// Deliveries judged by comparison with one that had been parsed.
    recognised: u64,
}

impl Verdict {
    /// The process's exit status.
    pub(crate) fn exit_code(self) -> ExitCode {
        match self {
            Self::Passed => ExitCode::SUCCESS,
            Self::Failed => ExitCode::FAILURE,
        }
    }
}

impl Report {
    /// The report of a finished run.
    pub(crate) fn new(setting: Setting<'_>, measured: Measured) -> Self {
        let crew = measured.crew.borrow();
        let audit = AuditReport::new(&crew, &measured);
        let failed = !audit.faults.is_clean() || measured.published.error.is_some();
        let seconds = measured.wall_ns as f64 / 1e9;
        let delivered = crew.shared.tally.delivered;
        Self {
            verdict: if failed { Verdict::Failed } else { Verdict::Passed },
            connect: ConnectReport::new(&crew, measured.ready_ns),
            publish: PublishReport::new(&measured.published),
            delivery: DeliveryReport::new(&crew, &measured.published),
            latency_ms: LatencyReport::new(&crew.shared.tally.latency),
            audit,
            server: measured
                .server
                .as_ref()
                .map(|usage| ServerReport::new(usage, seconds, delivered, crew.members.len())),
            tester: TesterReport {
                cpu_seconds: measured.cpu.as_secs_f64(),
                cpu_cores: measured.cpu.as_secs_f64() / seconds,
                cpu_us_per_delivery: per_delivery_us(measured.cpu, delivered),
                saturated: measured.cpu.as_secs_f64() > SATURATED_CORES * seconds,
                recognised: crew.shared.tally.recognised,
            },
            setting: SettingReport::new(setting),
        }
    }

    /// Prints the table, or writes the JSON document to `json`.
    ///
    /// # Errors
    /// In words, when the document cannot be written.
    pub(crate) fn deliver(&self, json: Option<&str>) -> Result<Verdict, String> {
        let document = || serde_json::to_string_pretty(self).map_err(|error| error.to_string());
        match json {
            Some("-") => println!("{}", document()?),
            Some(path) => {
                std::fs::write(path, document()? + "\n")
                    .map_err(|error| format!("{path}: {error}"))?;
                print!("{self}");
            }
            None => print!("{self}"),
        }
        Ok(self.verdict)
    }
}

impl SettingReport {
    fn new(setting: Setting<'_>) -> Self {
        let args = setting.args;
        Self {
            target: setting.target,
            server_started_here: setting.started,
            topic: args.topic.clone(),
            subscribers: args.subscribers,
            rate: args.rate,
            duration_seconds: args.duration.as_secs_f64(),
            size_bytes: args.size,
            publish_mode: match args.publish_mode {
                PublishMode::Ndjson => "one NDJSON request",
                PublishMode::Post => "pipelined POSTs",
            },
            runtime: setting.runtime_name.name,
            runtime_why: setting.runtime_name.why,
            optimised: !cfg!(debug_assertions),
        }
    }
}

impl ConnectReport {
    fn new(crew: &Crew, ready_ns: u64) -> Self {
        let mut times: Vec<u64> = crew.members.iter().map(|member| member.connect_ns).collect();
        times.sort_unstable();
        let seconds = ready_ns as f64 / 1e9;
        Self {
            seconds,
            per_second: times.len() as f64 / seconds,
            p50_ms: times[times.len() / 2] as f64 / 1e6,
            max_ms: times[times.len() - 1] as f64 / 1e6,
        }
    }
}

impl PublishReport {
    fn new(outcome: &Outcome) -> Self {
        Self {
            messages: outcome.published,
            accepted: outcome.accepted,
            per_second: outcome.rate(),
            lag_max_ms: outcome.lag_max_ns as f64 / 1e6,
            error: outcome.error.clone(),
        }
    }
}

impl DeliveryReport {
    fn new(crew: &Crew, published: &Outcome) -> Self {
        let tally = &crew.shared.tally;
        let seconds = tally.last_ns.saturating_sub(published.start_ns) as f64 / 1e9;
        let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        Self {
            expected: published.published * crew.members.len() as u64,
            delivered: tally.delivered,
            per_second: per_second(tally.delivered),
            bytes: tally.bytes,
            bytes_per_second: per_second(tally.bytes),
            foreign_events: tally.foreign,
        }
    }
}

impl LatencyReport {
    fn new(latency: &Histogram<u64>) -> Self {
        let at = |quantile| latency.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            min: latency.min() as f64 / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: latency.max() as f64 / 1e3,
            mean: latency.mean() / 1e3,
        }
    }
}

impl AuditReport {
    fn new(crew: &Crew, measured: &Measured) -> Self {
        let mut faults = Faults::default();
        for stream in crew.members.iter().filter_map(|member| member.stream.as_ref()) {
            faults += stream.audit().close(measured.published.published);
        }
        let mut examples = crew.shared.tally.examples.clone();
        let first_cut = crew.members.iter().enumerate().find_map(|(index, member)| {
            member.fault.as_ref().map(|fault| format!("subscriber {index}: cut: {fault}"))
        });
        examples.extend(first_cut);
        Self { faults, cut: measured.cut, examples }
    }
}

impl ServerReport {
    fn new(usage: &ServerUsage, seconds: f64, delivered: u64, subscribers: usize) -> Self {
        let held = usage.memory_ready.saturating_sub(usage.memory_before);
        Self {
            cpu_seconds: usage.cpu.as_secs_f64(),
            cpu_cores: usage.cpu.as_secs_f64() / seconds,
            cpu_us_per_delivery: per_delivery_us(usage.cpu, delivered),
            pss_bytes_start: usage.memory_before,
            pss_bytes_ready: usage.memory_ready,
            pss_bytes_peak: usage.memory_peak,
            pss_bytes_per_subscriber: held as f64 / subscribers as f64,
        }
    }
}

fn per_delivery_us(cpu: Duration, delivered: u64) -> f64 {
    if delivered == 0 { 0.0 } else { cpu.as_secs_f64() * 1e6 / delivered as f64 }
}

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
