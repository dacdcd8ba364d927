//! The part of the command line that every scenario has.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::report::OutputArgs;
use crate::target::TargetArgs;
use crate::values;
use crate::worker::RuntimeChoice;

/// Whom a scenario is played with, and what with.
#[derive(Args, Clone, Debug)]
pub(crate) struct LoadArgs {
    /// Connections that subscribe
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) subscribers: u32,

    /// Bytes of data in each message
    #[arg(long, value_name = "BYTES", default_value_t = 128, value_parser = values::size)]
    pub(crate) size: usize,

    /// Topic to publish on and subscribe to
    #[arg(long, default_value = "load")]
    pub(crate) topic: String,

    /// Topics: messages go to each in turn, each subscriber is subscribed to one (named TOPIC-0,
    /// TOPIC-1... when there are several)
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) topics: u32,

    /// The server
    #[command(flatten)]
    pub(crate) target: TargetArgs,

    /// Connections being made at the same time
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) connecting: u32,

    /// Address to connect from, where one has too few ports; may be repeated, for each in turn (default:
    /// the addresses of loopback for many subscribers there, else what the system chooses)
    #[arg(long = "source", value_name = "ADDRESS")]
    pub(crate) sources: Vec<IpAddr>,

    /// Process id of the server, to report what it costs; with all processes it has started. May be
    /// repeated
    #[arg(long = "pid", value_name = "PID")]
    pub(crate) pids: Vec<u32>,

    /// Pin the tester to this CPU
    #[arg(long)]
    pub(crate) cpu: Option<usize>,

    /// Pin the server this tool starts to this CPU
    #[arg(long, conflicts_with = "target")]
    pub(crate) server_cpu: Option<usize>,

    /// Server binary to start (default: `fanfare` beside this program, else cargo builds it)
    #[arg(long, value_name = "PATH", conflicts_with = "target")]
    pub(crate) server: Option<PathBuf>,

    /// An argument of the server this tool starts; may be repeated
    #[arg(
        long = "server-arg",
        value_name = "ARG",
        conflicts_with = "target",
        allow_hyphen_values = true
    )]
    pub(crate) server_args: Vec<String>,

    /// Processes that receive (default: as many as the limit on open files asks for)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub(crate) processes: Option<u32>,

    /// What receives: io_uring, epoll, or io_uring where the system allows it
    #[arg(long, value_enum, default_value_t = RuntimeChoice::Auto)]
    pub(crate) runtime: RuntimeChoice,

    /// A delivery that comes so long after the intended time of its publish is a fault
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = values::duration)]
    pub(crate) late: Duration,

    /// When all is published and nothing has come for so long, the rest is missing; connections may take
    /// twice as long
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = values::duration)]
    pub(crate) patience: Duration,

    /// Count bytes and audit nothing: for saturation, when the audit would be the limit. The report
    /// says so
    #[arg(long)]
    pub(crate) blind: bool,

    /// Tell how the run goes every 10 s where standard error is no terminal, and despite --quiet
    #[arg(long)]
    pub(crate) progress: bool,

    /// Write latency by slice of time to this file, as an HdrHistogram interval log, which can be merged
    /// with others
    #[arg(long, value_name = "FILE")]
    pub(crate) hdr: Option<PathBuf>,

    /// Where the report goes
    #[command(flatten)]
    pub(crate) outputs: OutputArgs,
}

impl LoadArgs {
    /// The topics by name.
    pub(crate) fn topic_names(&self) -> Vec<String> {
        match self.topics {
            1 => vec![self.topic.clone()],
            topics => (0..topics).map(|number| format!("{}-{number}", self.topic)).collect(),
        }
    }
}
