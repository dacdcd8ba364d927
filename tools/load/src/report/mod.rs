//! What a run has shown: the document that every form of output is made from.
//!
//! The JSON is this document as it stands (`fanfare-load/1`); the table, the CSV and the page are views
//! of it, and `compare` reads two of them. Times are in milliseconds unless a name says otherwise.

mod csv;
pub(crate) mod figures;
mod hdr;
mod html;
mod outputs;
mod progress;
mod recorded;
#[cfg(test)]
pub(crate) mod samples;
mod table;

pub(crate) use self::hdr::write_histograms;
pub(crate) use self::outputs::{OutputArgs, deliver};
pub(crate) use self::progress::{Progress, ProgressMode, Standing};
pub(crate) use self::recorded::{RecordedArgs, read};

use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::histogram::Percentiles;
use crate::worker::Faults;

/// The version of this document.
pub(crate) const SCHEMA: &str = "fanfare-load/1";

/// A finished run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Report {
    /// [`SCHEMA`].
    pub(crate) schema: String,
    /// Which scenario was played.
    pub(crate) scenario: String,
    pub(crate) verdict: Verdict,
    /// Why the verdict is what it is, in words, when it is not `passed`; and what else a reader must know.
    pub(crate) notes: Vec<String>,
    pub(crate) setting: Setting,
    pub(crate) machine: Machine,
    pub(crate) connect: Connect,
    /// Absent when nothing was published.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) publish: Option<Publish>,
    pub(crate) delivery: Delivery,
    /// From the intended time of a publish to the read that brought the message.
    pub(crate) latency_ms: Percentiles,
    /// From the write that published to the read that brought the message: what a closed loop would say.
    pub(crate) service_ms: Percentiles,
    /// What latency was at each of some quantiles, for the percentile curve.
    pub(crate) curve: Vec<CurvePoint>,
    /// Absent when no event was followed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) fan_out: Option<FanOut>,
    pub(crate) audit: Audit,
    /// Parts of the run that are told apart: the steps of a ladder, before and during slow readers.
    pub(crate) phases: Vec<Phase>,
    /// What only this scenario asks.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) result: Option<ScenarioResult>,
    /// How things stood over time, one point per slice.
    pub(crate) series: Vec<Point>,
    /// What the server's processes used; absent when they are not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) server: Option<ServerCost>,
    pub(crate) tester: Tester,
}

/// Whether the server kept what a broadcast promises.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// Every delivery arrived intact, once, in order and in time.
    Passed,
    /// One did not, or a publish failed.
    Failed,
    /// Deliveries were not looked at: the run was blind.
    Unaudited,
}

/// Under what conditions a run was made.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Setting {
    pub(crate) target: String,
    pub(crate) preset: String,
    /// This tool has started the server.
    pub(crate) server_started_here: bool,
    pub(crate) subscribers: u32,
    pub(crate) topics: u32,
    /// Messages per second; of a ladder, of its first step.
    pub(crate) rate: f64,
    pub(crate) duration_seconds: f64,
    pub(crate) size_bytes: usize,
    pub(crate) publish_mode: String,
    /// Processes that receive.
    pub(crate) processes: u32,
    pub(crate) runtime: String,
    pub(crate) runtime_why: String,
    /// Bytes were counted, deliveries were not audited.
    pub(crate) blind: bool,
    /// This tester was built with optimisation.
    pub(crate) optimised: bool,
    /// The command line.
    pub(crate) command: String,
}

/// Where the run was made.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Machine {
    pub(crate) kernel: String,
    pub(crate) cpu: String,
    pub(crate) cpus: u32,
    pub(crate) memory_bytes: u64,
    /// Of `fanfare-load`.
    pub(crate) tester_version: String,
    /// When the run began, RFC 3339.
    pub(crate) began: String,
}

/// How connecting went.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Connect {
    pub(crate) attempted: u64,
    pub(crate) connected: u64,
    pub(crate) failed: u64,
    /// From the first attempt to the last response head.
    pub(crate) seconds: f64,
    pub(crate) per_second: f64,
    /// From the intended start of an attempt to the TCP connection.
    pub(crate) tcp_ms: Percentiles,
    /// From the intended start of an attempt to the first byte of the answer.
    pub(crate) first_byte_ms: Percentiles,
    /// The first failure, in words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) first_failure: Option<String>,
}

/// What was published.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Publish {
    pub(crate) messages: u64,
    /// The server said that it took them.
    pub(crate) accepted: u64,
    pub(crate) per_second: f64,
    /// The longest time a message was written after it was due.
    pub(crate) lag_max_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) error: Option<String>,
}

/// What arrived.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Delivery {
    pub(crate) expected: u64,
    pub(crate) delivered: u64,
    pub(crate) per_second: f64,
    /// Bytes after the response heads, framing included.
    pub(crate) bytes: u64,
    pub(crate) bytes_per_second: f64,
    /// Events that this tester has not published.
    pub(crate) foreign_events: u64,
}

/// One point of the percentile curve.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct CurvePoint {
    /// From 0 to 1.
    pub(crate) quantile: f64,
    pub(crate) latency_ms: f64,
    pub(crate) service_ms: f64,
}

/// How one event reaches its subscribers, over the events that were followed.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct FanOut {
    /// Events that were followed.
    pub(crate) events: u64,
    /// One in so many events was followed.
    pub(crate) one_in: u64,
    /// When it reached its first subscriber, from its intended time.
    pub(crate) first_ms: Percentiles,
    /// ... the subscriber in the middle.
    pub(crate) median_ms: Percentiles,
    /// ... the last.
    pub(crate) last_ms: Percentiles,
    /// From the first to the last.
    pub(crate) spread_ms: Percentiles,
}

/// What was wrong with the deliveries.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Audit {
    #[serde(flatten)]
    pub(crate) faults: Faults,
    /// Subscribers whose stream the server ended.
    pub(crate) cut: u64,
    /// From how late on a delivery counts as late.
    pub(crate) late_after_ms: f64,
    /// The first faults, in words.
    pub(crate) examples: Vec<String>,
}

/// One part of a run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Phase {
    pub(crate) name: String,
    /// Since the run began.
    pub(crate) from_seconds: f64,
    pub(crate) to_seconds: f64,
    /// Messages per second that were intended.
    pub(crate) rate: f64,
    pub(crate) expected: u64,
    pub(crate) delivered: u64,
    pub(crate) per_second: f64,
    pub(crate) latency_ms: Percentiles,
    /// The server's CPU time per delivery, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) server_cpu_us_per_delivery: Option<f64>,
    /// Whether it met the stated objective, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) holds: Option<bool>,
    /// The tester was the bottleneck in it.
    pub(crate) bottleneck: bool,
}

/// What only one scenario asks.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "scenario", rename_all = "lowercase")]
pub(crate) enum ScenarioResult {
    /// Idle connections were held.
    Hold {
        held: u64,
        lost: u64,
        /// The server's CPU time per connection and second.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        cpu_us_per_connection_second: Option<f64>,
    },
    /// The highest rate at which the objective held.
    Ladder {
        objective: String,
        /// What the objective allows p99 to be, when it is about that.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        objective_p99_ms: Option<f64>,
        /// Absent when no step held, or the tester was the bottleneck.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        knee_rate: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        knee_deliveries_per_second: Option<f64>,
        /// Why the ladder ended.
        ended: String,
    },
    /// All were cut off and came back.
    Storm {
        killed: u64,
        back: u64,
        /// From the cut to the last response head.
        seconds: f64,
        /// From the cut to each subscriber's response head.
        back_ms: Percentiles,
        /// From the cut until a subscriber had all it had missed.
        caught_up_ms: Percentiles,
        /// Subscribers that were told of a gap.
        gaps: u64,
    },
    /// Some read slowly.
    Slow {
        slow: u64,
        bytes_per_second: f64,
        /// Slow readers that the server ended.
        slow_cut: u64,
        /// Share of their messages that slow readers got.
        slow_delivered_share: f64,
        others_p99_ms_before: f64,
        others_p99_ms_during: f64,
        ratio: f64,
    },
    /// All asked for what had been published before.
    Replay {
        messages: u64,
        /// From the intended start of a connection until it had all of it.
        caught_up_ms: Percentiles,
        deliveries_per_second: f64,
        gaps: u64,
    },
    /// Subscribers came and went.
    Churn { came: u64, went: u64, per_second: f64 },
    /// A long run.
    Soak {
        /// Least-squares slope of the server's memory.
        memory_bytes_per_hour: f64,
        /// Half the width of its 95 % interval.
        memory_bytes_per_hour_error: f64,
        memory_bytes_start: u64,
        memory_bytes_end: u64,
    },
}

/// How things stood in one slice of time.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Point {
    /// The slice's end, since the run began.
    pub(crate) at_seconds: f64,
    /// Streams that stand.
    pub(crate) connected: u64,
    pub(crate) published_per_second: f64,
    pub(crate) delivered_per_second: f64,
    pub(crate) bytes_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
    /// Cores the tester used.
    pub(crate) tester_cpu_cores: f64,
    pub(crate) tester_lag_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) server_cpu_cores: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) server_pss_bytes: Option<u64>,
}

/// What the server's processes used.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct ServerCost {
    pub(crate) processes: u32,
    pub(crate) cpu_seconds: f64,
    pub(crate) cpu_cores: f64,
    pub(crate) cpu_us_per_delivery: f64,
    pub(crate) cpu_seconds_per_million_deliveries: f64,
    pub(crate) pss_bytes_start: u64,
    pub(crate) pss_bytes_ready: u64,
    pub(crate) pss_bytes_peak: u64,
    pub(crate) pss_bytes_per_subscriber: f64,
    /// Socket buffers and kernel objects, of both ends where server and tester share a machine.
    pub(crate) kernel_bytes_per_subscriber: f64,
    pub(crate) voluntary_switches: u64,
    pub(crate) involuntary_switches: u64,
}

/// What the tester used, and whether it can be trusted.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Tester {
    pub(crate) cpu_seconds: f64,
    pub(crate) cpu_cores: f64,
    pub(crate) cpu_us_per_delivery: f64,
    /// How late its event loops came to what was due.
    pub(crate) loop_lag_ms: Percentiles,
    /// Bytes that had arrived and were not read yet, of sockets looked at now and then.
    pub(crate) backlog_mean_bytes: f64,
    pub(crate) backlog_max_bytes: u64,
    /// Its share in what was measured is so large that the run says nothing of the server's capacity.
    pub(crate) bottleneck: bool,
    /// Why.
    pub(crate) bottleneck_why: Vec<String>,
    /// Deliveries judged by comparison with one that had been parsed.
    pub(crate) recognised: u64,
}

impl Verdict {
    /// The process's exit status.
    pub(crate) fn exit_code(self) -> ExitCode {
        match self {
            Self::Passed | Self::Unaudited => ExitCode::SUCCESS,
            Self::Failed => ExitCode::FAILURE,
        }
    }
}

impl Report {
    /// Every distribution of times in it, with what it is of. Some may be empty.
    pub(crate) fn distributions(&self) -> Vec<(&'static str, Percentiles)> {
        let mut of = vec![("latency", self.latency_ms), ("service time", self.service_ms)];
        if let Some(fan_out) = &self.fan_out {
            of.push(("fan-out: first", fan_out.first_ms));
            of.push(("fan-out: median", fan_out.median_ms));
            of.push(("fan-out: last", fan_out.last_ms));
            of.push(("fan-out: spread", fan_out.spread_ms));
        }
        of.push(("TCP connection", self.connect.tcp_ms));
        of.push(("first byte", self.connect.first_byte_ms));
        match &self.result {
            Some(ScenarioResult::Storm { back_ms, caught_up_ms, .. }) => {
                of.push(("back after the cut", *back_ms));
                of.push(("caught up after the cut", *caught_up_ms));
            }
            Some(ScenarioResult::Replay { caught_up_ms, .. }) => {
                of.push(("caught up", *caught_up_ms));
            }
            _ => {}
        }
        of.push(("the tester's own lag", self.tester.loop_lag_ms));
        of
    }
}
