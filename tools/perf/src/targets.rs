//! What is aimed at, and what measures it. The numbers are those of the design.

use super::program::Program;

/// One program, and the targets that its document answers.
#[derive(Debug)]
pub(crate) struct Measurement {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    pub(crate) targets: &'static [Target],
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) what: &'static str,
    /// Where the value is: the name of a row, or a JSON pointer.
    pub(crate) value: &'static str,
    /// Where its floor is: the same work with nothing around it, in the same run.
    pub(crate) floor: Option<&'static str>,
    /// What the document's number is to be divided by.
    pub(crate) per: f64,
    pub(crate) unit: &'static str,
    pub(crate) aim: Aim,
}

/// What is good enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Aim {
    AtMost(f64),
    AtLeast(f64),
    /// At most so many times the floor.
    TimesFloor(f64),
}

const fn at_most(what: &'static str, value: &'static str, unit: &'static str, most: f64) -> Target {
    Target { what, value, floor: None, per: 1.0, unit, aim: Aim::AtMost(most) }
}

const fn at_least(
    what: &'static str,
    value: &'static str,
    unit: &'static str,
    least: f64,
) -> Target {
    Target { what, value, floor: None, per: 1.0, unit, aim: Aim::AtLeast(least) }
}

const fn times_floor(
    what: &'static str,
    value: &'static str,
    floor: &'static str,
    times: f64,
) -> Target {
    let aim = Aim::TimesFloor(times);
    Target { what, value, floor: Some(floor), per: 1e3, unit: "us", aim }
}

const P99: &str = "/latency_ms/p99";

/// All of them. Server and tester have a CPU each.
pub(crate) const MEASUREMENTS: &[Measurement] = &[
    Measurement {
        name: "delivery",
        program: Program::Crowd("cost --connections 1000,8000 --events 1"),
        targets: &[
            times_floor(
                "CPU of a delivery, one event a send, 1,000 subscribers",
                "1 CPU, 1000 connections, 1 events/send: CPU",
                "1 CPU, 1000 connections, 1 events/send: send(2) loop",
                1.1,
            ),
            times_floor(
                "the same, 8,000 subscribers",
                "1 CPU, 8000 connections, 1 events/send: CPU",
                "1 CPU, 8000 connections, 1 events/send: send(2) loop",
                1.1,
            ),
        ],
    },
    Measurement {
        name: "saturated",
        program: Program::Crowd("saturated"),
        targets: &[Target {
            what: "1,000 subscribers, published flat out, one core",
            value: "deliveries per second of a busy core",
            floor: None,
            per: 1e6,
            unit: "M/s",
            aim: Aim::AtLeast(60.0),
        }],
    },
    Measurement {
        name: "10000",
        program: Program::Load("--rate 10000"),
        targets: &[at_most("p99 of 1,000 x 10,000/s, audited", P99, "ms", 16.0)],
    },
    Measurement {
        name: "2000",
        program: Program::Load("--rate 2000"),
        targets: &[
            at_most("CPU at 1,000 x 2,000/s", "/server/cpu_cores", "cores", 0.5),
            at_most("p99 of 1,000 x 2,000/s, audited", P99, "ms", 15.0),
        ],
    },
    Measurement {
        name: "200",
        program: Program::Load("--rate 200"),
        targets: &[at_most("p99 of 1,000 x 200/s", P99, "ms", 10.0)],
    },
    Measurement {
        name: "8000x5",
        program: Program::Load("--subscribers 8000 --rate 5 --duration 10s"),
        targets: &[at_most("p99 of 8,000 x 5/s", P99, "ms", 60.0)],
    },
    Measurement {
        name: "memory",
        program: Program::Crowd("memory --connections 10000,100000"),
        targets: &[
            at_most(
                "user memory of an idle subscriber, of 10,000",
                "10000 connections, user memory of each",
                "B",
                256.0,
            ),
            at_most(
                "with the kernel's on our side, of 10,000",
                "10000 connections, memory of each in all",
                "B",
                4500.0,
            ),
            at_most(
                "user memory of an idle subscriber, of 100,000",
                "100000 connections, user memory of each",
                "B",
                256.0,
            ),
            at_most(
                "with the kernel's on our side, of 100,000",
                "100000 connections, memory of each in all",
                "B",
                4500.0,
            ),
        ],
    },
    Measurement {
        name: "100000",
        program: Program::Crowd("broadcast --connections 100000"),
        targets: &[Target {
            what: "connections of one process, ten broadcasts audited at each",
            value: "deliveries audited by the subscribers",
            floor: None,
            per: 10.0,
            unit: "",
            aim: Aim::AtLeast(100_000.0),
        }],
    },
    Measurement {
        name: "idle",
        program: Program::Crowd("idle --connections 10000 --seconds 60"),
        targets: &[at_most(
            "idle CPU with heartbeats every 15 s",
            "CPU time of a connection-second",
            "us",
            0.2,
        )],
    },
    Measurement {
        name: "accept",
        program: Program::Crowd("accept"),
        targets: &[at_least(
            "connections accepted and subscribed by a busy core",
            "a busy core's connections per second",
            "/s",
            30_000.0,
        )],
    },
    Measurement {
        name: "publish",
        program: Program::Criterion { bench: "publish", id: "publish/one message" },
        targets: &[at_least(
            "messages published by one thread, no subscribers",
            "/per_second",
            "/s",
            5e6,
        )],
    },
    Measurement {
        name: "http",
        program: Program::Load("--subscribers 1 --rate 250000 --duration 4s"),
        targets: &[at_least(
            "messages published over HTTP (NDJSON, one subscriber)",
            "/publish/per_second",
            "/s",
            200_000.0,
        )],
    },
    Measurement {
        name: "resume",
        program: Program::Bench { bench: "resume", arguments: "" },
        targets: &[
            at_most("10,000 clients resume, 1,000 events behind", "caught up", "s", 3.0),
            at_most("live p99 meanwhile, to that before", "ratio of the live p99", "x", 2.0),
        ],
    },
    Measurement {
        name: "stalled",
        program: Program::Crowd("stalled --stalled 10000 --healthy 1000"),
        targets: &[at_most(
            "p99 beside 10,000 that stall, to that before",
            "ratio of the p99",
            "x",
            1.2,
        )],
    },
    Measurement {
        name: "storm",
        program: Program::Crowd("storm --rate 5000"),
        targets: &[at_most(
            "p99 of 1,000 x 200/s while 5,000 a second come and go",
            "meanwhile, p99",
            "ms",
            10.0,
        )],
    },
    Measurement {
        name: "scaling",
        program: Program::Crowd("cost --connections 1000,10000,100000 --events 1 --repeats 3"),
        targets: &[at_most(
            "CPU of a delivery to 100,000, to that to 1,000",
            "1 CPU, 100000 connections, 1 events/send: ratio to the first",
            "x",
            1.6,
        )],
    },
];
