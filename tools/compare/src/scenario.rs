//! What is run on every peer, and what counts in it.

use std::time::Duration;

/// How long one load may take. Whoever needs longer is not up to it, and may have hours of it queued.
pub(crate) const ONE_LOAD: Duration = Duration::from_secs(30);
/// How long several may.
const SEVERAL_LOADS: Duration = Duration::from_secs(300);

/// A load, alike for all.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// That of the load tester.
    pub(crate) subcommand: &'static str,
    /// How long it may take.
    pub(crate) within: Duration,
    /// Options of the load tester, beside [`ALWAYS`].
    pub(crate) load: &'static str,
    /// A small load first, so that whoever compiles while it runs has compiled. Not where memory is
    /// measured: it would be there already.
    pub(crate) warm_up: bool,
    /// Run where nothing is chosen.
    pub(crate) by_default: bool,
    pub(crate) metrics: &'static [Metric],
}

/// A number of a report.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    /// Where it is, as a JSON pointer.
    pub(crate) pointer: &'static str,
    /// What the report's number is to be divided by.
    pub(crate) per: f64,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
}

/// What one would rather have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Better {
    Less,
    More,
}

const fn less(name: &'static str, pointer: &'static str, unit: &'static str) -> Metric {
    Metric { name, pointer, per: 1.0, unit, better: Better::Less }
}

const fn more(name: &'static str, pointer: &'static str, unit: &'static str) -> Metric {
    Metric { name, pointer, per: 1.0, unit, better: Better::More }
}

const MIB: f64 = 1_048_576.0;

/// Of the whole server, whatever it has set aside before anybody came.
const MEMORY: Metric = Metric {
    name: "memory in all",
    pointer: "/server/pss_bytes_peak",
    per: MIB,
    unit: "MiB",
    better: Better::Less,
};

const DELIVERING: &[Metric] = &[
    less("p50", "/latency_ms/p50", "ms"),
    less("p99", "/latency_ms/p99", "ms"),
    more("deliveries", "/delivery/per_second", "/s"),
    less("CPU of a delivery", "/server/cpu_us_per_delivery", "µs"),
    MEMORY,
];

const HOLDING: &[Metric] = &[
    less("memory of a subscriber", "/server/pss_bytes_per_subscriber", "B"),
    MEMORY,
    more("connections made", "/connect/per_second", "/s"),
];

/// Of more connections at a time Pushpin answers some with 502.
pub(crate) const ALWAYS: &str = "--connecting 64";

/// All of them. Messages are published by pipelined POSTs, which every peer understands, at times fixed
/// in advance.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "steady",
        what: "1,000 subscribers, 100 messages/s of 128 B for 3 s",
        subcommand: "steady",
        within: ONE_LOAD,
        load: "--subscribers 1000 --rate 100 --size 128 --duration 3s",
        warm_up: true,
        by_default: true,
        metrics: DELIVERING,
    },
    Scenario {
        name: "busy",
        what: "1,000 subscribers, 2,000 messages/s of 128 B for 2 s",
        subcommand: "steady",
        within: ONE_LOAD,
        load: "--subscribers 1000 --rate 2000 --size 128 --duration 2s",
        warm_up: true,
        by_default: true,
        metrics: DELIVERING,
    },
    Scenario {
        name: "few",
        what: "10 subscribers, 1,000 messages/s of 128 B for 3 s",
        subcommand: "steady",
        within: ONE_LOAD,
        load: "--subscribers 10 --rate 1000 --size 128 --duration 3s",
        warm_up: true,
        by_default: true,
        metrics: DELIVERING,
    },
    Scenario {
        name: "wide",
        what: "8,000 subscribers, 5 messages/s of 128 B for 5 s",
        subcommand: "steady",
        within: ONE_LOAD,
        load: "--subscribers 8000 --rate 5 --size 128 --duration 5s",
        warm_up: true,
        by_default: false,
        metrics: DELIVERING,
    },
    Scenario {
        name: "hold",
        what: "5,000 subscribers that connect and get nothing",
        subcommand: "hold",
        within: ONE_LOAD,
        load: "--subscribers 5000 --duration 1s",
        warm_up: false,
        by_default: true,
        metrics: HOLDING,
    },
    Scenario {
        name: "ladder",
        what: "the rate up to which 1,000 subscribers are served within the load tester's objective",
        subcommand: "ladder",
        within: SEVERAL_LOADS,
        load: "--subscribers 1000 --size 128 --from 25 --step 2s",
        warm_up: true,
        by_default: false,
        metrics: &[more("knee", "/result/knee_rate", "messages/s")],
    },
    Scenario {
        name: "storm",
        what: "1,000 subscribers that are cut off and come back all at once, and resume",
        subcommand: "storm",
        within: SEVERAL_LOADS,
        load: "--subscribers 1000 --size 128",
        warm_up: true,
        by_default: false,
        metrics: &[
            less("all back", "/result/seconds", "s"),
            less("caught up, p99", "/result/caught_up_ms/p99", "ms"),
        ],
    },
];

/// The scenario of this name.
pub(crate) fn find(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}
