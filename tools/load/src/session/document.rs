//! The report of a run, made of all that a session knows at its end.

use std::fs;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;

use super::book::Part;
use super::{Session, Totals};
use crate::histogram::Percentiles;
use crate::publisher::Outcome;
use crate::report::{
    Audit, Connect, CurvePoint, Delivery, Machine, Publish, Report, SCHEMA, ScenarioResult,
    ServerCost, Setting, Tester, Verdict, write_histograms,
};
use crate::target::Route;
use crate::worker::Tally;

/// Makes the report of a session that has ended.
pub(super) fn write(
    mut session: Session,
    totals: Totals,
    result: Option<ScenarioResult>,
) -> Result<Report, String> {
    let (series, fan_out) = session.book.close(&totals.samples, session.setup.follow_one_in);
    if let Some(path) = &session.load.hdr {
        write_histograms(path, session.began, &session.book.latencies)?;
    }
    let mut everything = Part { from_ns: session.connecting.from_ns, ..Part::default() };
    everything.join(&session.connecting);
    everything.join(&session.whole);
    let tally = &session.whole.tally;
    let audit = audit(&session, &totals, &everything.tally);
    let mut notes = Vec::new();
    let verdict = verdict(&session, &totals, &audit, &everything.tally, &mut notes);
    Ok(Report {
        schema: SCHEMA.to_owned(),
        scenario: session.plan.scenario.to_owned(),
        verdict,
        notes,
        setting: setting(&session),
        machine: Machine::here(session.began),
        connect: connect(all_connecting(&session, &everything)),
        publish: totals.outcome.as_ref().map(publish),
        delivery: delivery(&session, &totals, tally),
        latency_ms: Percentiles::of(&tally.latency),
        service_ms: Percentiles::of(&tally.service),
        curve: curve(&tally.latency, &tally.service),
        fan_out,
        audit,
        phases: std::mem::take(&mut session.phases),
        result,
        series,
        server: server(&session, &totals),
        tester: tester(&session, &everything),
    })
}

fn verdict(
    session: &Session,
    totals: &Totals,
    audit: &Audit,
    connected: &Tally,
    notes: &mut Vec<String>,
) -> Verdict {
    let error = totals.outcome.as_ref().and_then(|outcome| outcome.error.as_ref());
    notes.extend(error.map(|error| format!("publishing failed: {error}")));
    if connected.failed > 0 {
        let why = connected.first_failure.as_deref().unwrap_or("no reason was given");
        notes.push(format!("{} connections never became a stream: {why}", connected.failed));
    }
    if totals.unanswered > 0 {
        notes.push(format!("{} connections were still without an answer", totals.unanswered));
    }
    let is_broken =
        totals.unanswered > 0 || error.is_some() || connected.failed > 0 || audit.cut > 0;
    if session.load.blind {
        notes.push("blind: bytes were counted, deliveries were not audited".to_owned());
    }
    match (is_broken || audit.faults.count() > 0, session.load.blind) {
        (true, _) => Verdict::Failed,
        (false, true) => Verdict::Unaudited,
        (false, false) => Verdict::Passed,
    }
}

fn setting(session: &Session) -> Setting {
    let load = &session.load;
    let (runtime, runtime_why) = session.runtimes.first().cloned().unwrap_or_default();
    let publish = session.target.publish.as_ref().filter(|_| session.plan.rate.is_some());
    Setting {
        target: session.url.clone(),
        preset: session.target.preset.name(),
        server_started_here: session.server.is_some(),
        subscribers: load.subscribers,
        topics: load.topics,
        rate: session.plan.rate.unwrap_or(0.0),
        duration_seconds: session.plan.expected.as_secs_f64(),
        size_bytes: load.size,
        publish_mode: publish
            .map(Route::mode)
            .map_or("nothing is published", |mode| mode.in_words())
            .to_owned(),
        processes: session.setup.workers,
        runtime,
        runtime_why,
        blind: load.blind,
        optimised: !cfg!(debug_assertions),
        command: std::env::args().collect::<Vec<_>>().join(" "),
    }
}

impl Machine {
    /// This machine. What the system does not tell is empty.
    fn here(began: SystemTime) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cpus = std::thread::available_parallelism().map_or(0, usize::from);
        Self {
            kernel: format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
            cpu: field(&read("/proc/cpuinfo"), "model name").to_owned(),
            cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
            memory_bytes: memory_bytes(&read("/proc/meminfo")),
            tester_version: env!("CARGO_PKG_VERSION").to_owned(),
            began: humantime::format_rfc3339_seconds(began).to_string(),
        }
    }
}

/// The value of the first line `name : value`.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.trim() == name).map_or("", |(_, value)| value.trim())
}

fn memory_bytes(meminfo: &str) -> u64 {
    let kib = field(meminfo, "MemTotal").trim_end_matches(" kB").parse::<u64>();
    kib.unwrap_or(0) * 1_024
}

/// What was counted while all connected for the first time.
fn all_connecting<'a>(session: &'a Session, everything: &'a Part) -> &'a Tally {
    let connecting = &session.connecting.tally;
    match connecting.attempted >= session.load.subscribers.into() {
        true => connecting,
        false => &everything.tally,
    }
}

fn connect(tally: &Tally) -> Connect {
    let began_ns = tally.first_attempt_ns.unwrap_or(0);
    let seconds = tally.last_connected_ns.saturating_sub(began_ns) as f64 / 1e9;
    Connect {
        attempted: tally.attempted,
        connected: tally.connected,
        failed: tally.failed,
        seconds,
        per_second: if seconds > 0.0 { tally.connected as f64 / seconds } else { 0.0 },
        tcp_ms: Percentiles::of(&tally.tcp),
        first_byte_ms: Percentiles::of(&tally.first_byte),
        first_failure: tally.first_failure.clone(),
    }
}

fn publish(outcome: &Outcome) -> Publish {
    Publish {
        messages: outcome.published,
        accepted: outcome.accepted,
        per_second: outcome.rate(),
        lag_max_ms: outcome.lag_max_ns as f64 / 1e6,
        error: outcome.error.clone(),
    }
}

fn delivery(session: &Session, totals: &Totals, tally: &Tally) -> Delivery {
    let published = totals.outcome.as_ref().map_or(0, |outcome| outcome.published);
    let began_ns = session.first_due_ns.unwrap_or(session.whole.from_ns);
    let seconds = tally.last_delivery_ns.saturating_sub(began_ns) as f64 / 1e9;
    let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
    let delivered = tally.delivered + tally.delivered_to_slow + tally.delivered_to_passing;
    Delivery {
        expected: match session.load.blind {
            true => 0,
            false => session.told_to_expect.unwrap_or_else(|| session.expected(0..published)),
        },
        delivered: tally.delivered,
        per_second: per_second(delivered),
        bytes: tally.bytes,
        bytes_per_second: per_second(tally.bytes),
        foreign_events: tally.foreign,
    }
}

/// Latency at quantiles that come ever nearer to 1.
fn curve(latency: &Histogram<u64>, service: &Histogram<u64>) -> Vec<CurvePoint> {
    if latency.is_empty() {
        return Vec::new();
    }
    let quantiles = std::iter::successors(Some(0.5), |above| Some(above / 1.5))
        .take_while(|above| above * latency.len() as f64 >= 1.0);
    let at = |quantile| CurvePoint {
        quantile,
        latency_ms: latency.value_at_quantile(quantile) as f64 / 1e3,
        service_ms: service.value_at_quantile(quantile) as f64 / 1e3,
    };
    [0.0, 0.25].into_iter().chain(quantiles.map(|above| 1.0 - above)).map(at).collect()
}

fn audit(session: &Session, totals: &Totals, tally: &Tally) -> Audit {
    Audit {
        faults: totals.faults,
        cut: tally.cut,
        late_after_ms: session.load.late.as_secs_f64() * 1e3,
        examples: tally.examples.clone(),
    }
}

fn server(session: &Session, totals: &Totals) -> Option<ServerCost> {
    let (start, end) = (&session.usage_start, totals.usage_end.as_ref()?);
    let ready = session.usage_ready.as_ref().unwrap_or(start);
    // Where connecting is all that is done, it is what is measured.
    let before = if session.has_stood { ready } else { start };
    let cpu = end.cpu.saturating_sub(before.cpu);
    let subscribers = f64::from(session.load.subscribers);
    let peak = totals.samples.iter().map(|sample| sample.usage.pss_bytes).max();
    let tally = &session.whole.tally;
    let delivered = tally.delivered + tally.delivered_to_slow + tally.delivered_to_passing;
    let per_delivery = per_delivery_us(cpu, delivered);
    let held = ready.pss_bytes.saturating_sub(start.pss_bytes) as f64;
    let held_by_kernel = session.kernel_ready.saturating_sub(session.kernel_start) as f64;
    Some(ServerCost {
        processes: end.processes,
        cpu_seconds: cpu.as_secs_f64(),
        cpu_cores: per_second(cpu.as_secs_f64(), session.whole.seconds()),
        cpu_us_per_delivery: per_delivery,
        // A microsecond each is a second a million.
        cpu_seconds_per_million_deliveries: per_delivery,
        pss_bytes_start: start.pss_bytes,
        pss_bytes_ready: ready.pss_bytes,
        pss_bytes_peak: peak.unwrap_or(0).max(end.pss_bytes).max(ready.pss_bytes),
        pss_bytes_per_subscriber: held / subscribers,
        kernel_bytes_per_subscriber: held_by_kernel / subscribers,
        voluntary_switches: end.voluntary_switches.saturating_sub(before.voluntary_switches),
        involuntary_switches: end.involuntary_switches.saturating_sub(before.involuntary_switches),
    })
}

fn tester(session: &Session, everything: &Part) -> Tester {
    // A scenario that only connects has nothing else to be judged by.
    let judged = if session.has_stood { &session.whole } else { everything };
    let cpu = Duration::from_nanos(judged.watch.cpu_ns);
    let tally = &session.whole.tally;
    let delivered = tally.delivered + tally.delivered_to_slow + tally.delivered_to_passing;
    let doubts = judged.doubts();
    Tester {
        cpu_seconds: cpu.as_secs_f64(),
        cpu_cores: per_second(cpu.as_secs_f64(), judged.seconds()),
        cpu_us_per_delivery: per_delivery_us(cpu, delivered),
        loop_lag_ms: Percentiles::of(&judged.watch.loop_lag),
        backlog_mean_bytes: judged.mean_backlog(),
        backlog_max_bytes: judged.watch.backlog_max_bytes,
        bottleneck: !doubts.is_empty(),
        bottleneck_why: doubts,
        recognised: tally.recognised,
    }
}

fn per_second(count: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { count / seconds } else { 0.0 }
}

fn per_delivery_us(cpu: Duration, delivered: u64) -> f64 {
    if delivered == 0 { 0.0 } else { cpu.as_secs_f64() * 1e6 / delivered as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram;

    #[test]
    fn this_machine_can_be_named() {
        let machine = Machine::here(SystemTime::UNIX_EPOCH);
        assert!(machine.kernel.len() > "Linux ".len() && machine.memory_bytes > 1 << 20);
        assert_eq!(machine.began, "1970-01-01T00:00:00Z");
    }

    #[test]
    fn a_curve_ends_where_the_values_do() {
        let mut latency = histogram::empty();
        assert!(curve(&latency, &latency).is_empty());
        for us in 1..=1_000 {
            latency.saturating_record(us);
        }
        let curve = curve(&latency, &latency);
        assert!(curve.is_sorted_by(|a, b| a.quantile < b.quantile));
        let last = curve.last().expect("some points");
        assert!((0.998..=0.999_1).contains(&last.quantile), "{last:?}");
    }
}
