//! What a run has shown: one table for people, one JSON document for machines, one verdict.

mod table;

use std::cell::RefCell;
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
