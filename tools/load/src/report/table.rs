//! The report as people read it: one row per question, and a row only where there is something to say.
//!
//! Of a run in which the tester was the bottleneck no figure is printed that says how much a server
//! can do: neither knee nor rates.

mod phases;
mod scenario;

use std::fmt;

pub(super) use self::phases::columns as phase_columns;
use self::scenario::{Heading, Played};
use super::figures::{bytes, count, ms, number, percentiles, seconds, short_percentiles};
use super::{
    Audit, Connect, Delivery, FanOut, Machine, Publish, Report, ScenarioResult, ServerCost,
    Setting, Tester, Verdict,
};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.heading())?;
        for (name, value) in self.rows() {
            row(f, &name, &value)?;
        }
        Ok(())
    }
}

/// A scenario's result, in words.
pub(super) fn result(result: &ScenarioResult, report: &Report) -> String {
    Played(result, report).to_string()
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    let mut lines = value.lines();
    writeln!(f, "  {name:<13} {}", lines.next().unwrap_or_default())?;
    lines.try_for_each(|line| writeln!(f, "  {:<13} {line}", ""))
}

impl Report {
    /// What the run was, in one line.
    pub(crate) fn heading(&self) -> String {
        Heading(self).to_string()
    }

    /// Each question with its answer, which may have several lines.
    pub(super) fn rows(&self) -> Vec<(String, String)> {
        let mut rows = Rows::default();
        self.setting.tell(&mut rows);
        rows.add("machine", &self.machine);
        rows.add_some("result", self.result.as_ref().map(|played| result(played, self)));
        rows.add("connected", self.told(&self.connect));
        rows.add_some("published", self.publish.as_ref().map(|publish| self.told(publish)));
        if self.publish.is_some() || self.delivery.delivered > 0 {
            rows.add("delivered", self.told(&self.delivery));
        }
        if self.latency_ms.count > 0 {
            let latency = percentiles(&self.latency_ms);
            rows.add("latency", format!("{latency} (from the intended publish time)"));
        }
        if self.service_ms.count > 0 {
            let service = percentiles(&self.service_ms);
            rows.add("service time", format!("{service} (from the write that published)"));
        }
        rows.add_some("fan-out", self.fan_out.as_ref());
        if !self.phases.is_empty() {
            rows.add("phases", phases::aligned(&self.phases));
        }
        if self.verdict != Verdict::Unaudited {
            rows.add("audit", &self.audit);
        }
        rows.add_some("server used", self.server.as_ref());
        rows.add("tester used", &self.tester);
        self.tell_doubts(&mut rows);
        rows.add("verdict", self.verdict);
        rows.0
    }

    /// What makes the figures worth less.
    fn tell_doubts(&self, rows: &mut Rows) {
        if self.tester.bottleneck {
            let why = self.tester.bottleneck_why.join("\n");
            rows.add(
                "BOTTLENECK",
                format!("the tester was it: no figure here says what the server can do\n{why}"),
            );
        }
        for note in self.notes() {
            rows.add("note", note);
        }
    }

    /// What else a reader must know.
    pub(super) fn notes(&self) -> Vec<&str> {
        let unoptimised = "this tester was built without optimisation: trust no figure";
        let unoptimised = (!self.setting.optimised).then_some(unoptimised);
        self.notes.iter().map(String::as_str).chain(unoptimised).collect()
    }

    fn told<'a, T>(&'a self, what: &'a T) -> Told<'a, T> {
        Told { what, with_rates: !self.tester.bottleneck, by: &self.setting.publish_mode }
    }
}

#[derive(Default)]
struct Rows(Vec<(String, String)>);

impl Rows {
    fn add(&mut self, name: &str, value: impl fmt::Display) {
        self.0.push((name.to_owned(), value.to_string()));
    }

    fn add_some(&mut self, name: &str, value: Option<impl fmt::Display>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }
}

/// Something whose rates are told only if they can be claimed.
struct Told<'a, T> {
    what: &'a T,
    with_rates: bool,
    /// How messages were published.
    by: &'a str,
}

impl Setting {
    fn tell(&self, rows: &mut Rows) {
        let preset = match &*self.preset {
            "" => String::new(),
            preset => format!(" ({preset})"),
        };
        let started = if self.server_started_here { ", started for this run" } else { "" };
        rows.add("server", format_args!("{}{preset}{started}", self.target));
        let processes = match self.processes {
            0 | 1 => String::new(),
            many => format!(", {many} processes"),
        };
        let blind =
            if self.blind { "; BLIND: bytes are counted, deliveries not audited" } else { "" };
        rows.add(
            "receiving on",
            format_args!("{} ({}){processes}{blind}", self.runtime, self.runtime_why),
        );
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel, cpu, cpus, memory_bytes, .. } = self;
        write!(f, "{kernel}, {} x {cpu}, {}", count((*cpus).into()), bytes(*memory_bytes as f64))
    }
}

impl fmt::Display for Told<'_, Connect> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Connect { attempted, connected, failed, first_failure, .. } = self.what;
        write!(f, "{} of {} in", count(*connected), count(*attempted))?;
        write!(f, " {}", seconds(self.what.seconds))?;
        if self.with_rates {
            write!(f, " ({}/s)", number(self.what.per_second.round()))?;
        }
        if *failed > 0 {
            write!(f, "; {} failed", count(*failed))?;
        }
        for (name, times) in [("TCP", &self.what.tcp_ms), ("first byte", &self.what.first_byte_ms)]
        {
            if times.count > 0 {
                write!(f, "\n{name} {}", short_percentiles(times))?;
            }
        }
        match first_failure {
            Some(failure) => write!(f, "\nthe first failure: {failure}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Told<'_, Publish> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Publish { messages, accepted, per_second, lag_max_ms, error } = self.what;
        write!(f, "{} messages", count(*messages))?;
        if self.with_rates {
            write!(f, " at {}/s", number(*per_second))?;
        }
        write!(f, ", {} accepted, at most {} ms late", count(*accepted), ms(*lag_max_ms))?;
        if !self.by.is_empty() {
            write!(f, ", by {}", self.by)?;
        }
        match error {
            Some(error) => write!(f, ", then: {error}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Told<'_, Delivery> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Delivery { expected, delivered, per_second, bytes_per_second, .. } = self.what;
        write!(f, "{} of {}", count(*delivered), count(*expected))?;
        if self.with_rates {
            write!(f, ", {}/s", number(per_second.round()))?;
            write!(f, ", {:.1} MB/s", bytes_per_second / 1e6)?;
        }
        match self.what.foreign_events {
            0 => Ok(()),
            foreign => write!(f, ", and {} events of others", count(foreign)),
        }
    }
}

impl fmt::Display for FanOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, one_in, first_ms, median_ms, last_ms, spread_ms } = self;
        let which = match one_in {
            0 | 1 => "every event".to_owned(),
            one_in => format!("1 event in {}", count(*one_in)),
        };
        writeln!(f, "{which} followed, {} in all", count(*events))?;
        let rows =
            [("first", first_ms), ("median", median_ms), ("last", last_ms), ("spread", spread_ms)];
        for (name, times) in rows {
            writeln!(f, "{name:<8} {}", short_percentiles(times))?;
        }
        Ok(())
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, faults) in self.counted() {
            write!(f, "{name} {}, ", count(faults))?;
        }
        write!(f, "subscribers cut {}", count(self.cut))?;
        self.examples.iter().try_for_each(|example| write!(f, "\n{example}"))
    }
}

impl Audit {
    /// Each kind of fault that was looked for, with how many there are.
    pub(crate) fn counted(&self) -> Vec<(String, u64)> {
        let faults = &self.faults;
        let mut counted: Vec<(String, u64)> = [
            ("missing", faults.missing),
            ("duplicated", faults.duplicated),
            ("reordered", faults.reordered),
            ("corrupted", faults.corrupted),
            ("misrouted", faults.misrouted),
        ]
        .map(|(name, faults)| (name.to_owned(), faults))
        .into();
        if self.late_after_ms > 0.0 {
            counted.push((format!("late (over {} ms)", number(self.late_after_ms)), faults.late));
        }
        counted
    }
}

impl fmt::Display for ServerCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu_seconds, cpu_cores, cpu_us_per_delivery, .. } = self;
        write!(f, "{cpu_seconds:.2} s of CPU ({cpu_cores:.2} cores)")?;
        if *cpu_us_per_delivery > 0.0 {
            write!(f, ", {cpu_us_per_delivery:.3} us per delivery")?;
            let per_million = self.cpu_seconds_per_million_deliveries;
            write!(f, " ({per_million:.3} s per million)")?;
        }
        if self.processes > 1 {
            write!(f, ", {} processes", self.processes)?;
        }
        write!(f, "\nmemory (PSS) {} at the start", bytes(self.pss_bytes_start as f64))?;
        write!(f, ", {} with all connected", bytes(self.pss_bytes_ready as f64))?;
        write!(f, " ({} B per subscriber)", count(self.pss_bytes_per_subscriber.round() as u64))?;
        write!(f, ", {} at most", bytes(self.pss_bytes_peak as f64))?;
        if self.kernel_bytes_per_subscriber != 0.0 {
            let kernel = number(self.kernel_bytes_per_subscriber.round());
            write!(f, "\nkernel {kernel} B per subscriber")?;
        }
        if self.voluntary_switches + self.involuntary_switches > 0 {
            let (own, forced) = (self.voluntary_switches, self.involuntary_switches);
            write!(f, "\ncontext switches {} voluntary, {} not", count(own), count(forced))?;
        }
        Ok(())
    }
}

impl fmt::Display for Tester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu_seconds, cpu_cores, cpu_us_per_delivery, .. } = self;
        write!(f, "{cpu_seconds:.2} s of CPU ({cpu_cores:.2} cores)")?;
        if *cpu_us_per_delivery > 0.0 {
            write!(f, ", {cpu_us_per_delivery:.3} us per delivery")?;
        }
        if self.loop_lag_ms.count > 0 {
            write!(f, "\nlate itself by {}", short_percentiles(&self.loop_lag_ms))?;
            write!(f, "; unread bytes {} on average", bytes(self.backlog_mean_bytes))?;
            write!(f, ", {} at most", bytes(self.backlog_max_bytes as f64))?;
        }
        Ok(())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Passed => "passed: every delivery arrived intact, once and in order",
            Self::Failed => "FAILED",
            Self::Unaudited => "unaudited: what arrived was counted, not looked at",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    /// The lines of a row, without its name.
    fn told(report: &Report, name: &str) -> Vec<String> {
        let rows = report.rows();
        rows.into_iter().filter(|row| row.0 == name).map(|(_, value)| value).collect()
    }

    #[test]
    fn a_row_stands_where_there_is_something_to_say() {
        let steady = samples::steady();
        assert_eq!(
            told(&steady, "audit"),
            [
                "missing 0, duplicated 0, reordered 0, corrupted 0, misrouted 0, late (over 1,000 ms) 0, \
             subscribers cut 0"
            ]
        );
        for absent in ["result", "phases", "note", "BOTTLENECK"] {
            assert!(told(&steady, absent).is_empty(), "{absent}");
        }
        for present in ["server", "latency", "service time", "fan-out", "server used"] {
            assert_eq!(told(&steady, present).len(), 1, "{present}");
        }
        assert!(told(&samples::soak(), "result")[0].contains("per hour"));
    }

    #[test]
    fn the_verdict_comes_last_and_its_reasons_before_it() {
        let failed = samples::failed();
        let table = failed.to_string();
        assert!(table.ends_with("  verdict       FAILED\n"), "{table}");
        let audit = &told(&failed, "audit")[0];
        assert!(audit.starts_with("missing 4, duplicated 2, "), "{audit}");
        assert!(audit.contains("\nsubscriber 3: "), "{audit}");
        assert_eq!(told(&failed, "note"), failed.notes);
    }

    #[test]
    fn a_blind_run_says_so_and_audits_nothing() {
        let mut blind = samples::steady();
        blind.verdict = Verdict::Unaudited;
        blind.setting.blind = true;
        assert!(told(&blind, "audit").is_empty());
        assert!(told(&blind, "receiving on")[0].contains("BLIND"));
        assert!(blind.to_string().contains("unaudited"), "{blind}");
    }

    #[test]
    fn a_tester_that_was_the_bottleneck_claims_no_capacity() {
        let ladder = samples::ladder();
        let knee = "the objective held up to 8,000 msg/s";
        assert!(told(&ladder, "result")[0].contains(knee), "{ladder}");
        let bottlenecked = samples::bottlenecked();
        let table = bottlenecked.to_string();
        assert!(table.contains("BOTTLENECK"), "{table}");
        assert!(table.contains(&bottlenecked.tester.bottleneck_why[0]), "{table}");
        assert!(!table.contains("/s, ") && !table.contains("MB/s"), "{table}");
        assert!(!table.contains("held up to"), "{table}");
    }

    #[test]
    fn values_of_many_lines_stay_in_their_column() {
        let table = samples::ladder().to_string();
        let odd: Vec<_> = table.lines().skip(1).filter(|line| !line.starts_with("  ")).collect();
        assert!(odd.is_empty(), "{odd:?}");
    }
}
