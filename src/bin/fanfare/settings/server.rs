//! What is served, where and by whom.

use std::time::Duration;

use clap::{Args, ValueEnum};
use fanfare::{DriverChoice, limits, provider::LagPolicy, server};

use super::{Size, Span};
use crate::logging::{self, FILTER_DEFAULT};

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerSettings {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,
    /// Address for operators: a dashboard, the connections, probes. Keep it private [default: none].
    ///
    /// At most 64 connections, 48 KiB each.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<String>,
    /// Threads that serve subscribers [default: one per CPU].
    ///
    /// Each costs a thread, and with io_uring a ring of 56 KiB, which counts as locked memory.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) cores: Option<u16>,
    /// How to move bytes.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) driver: Driver,
    /// Answer at the URLs of these systems too, for those who move from them.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SYSTEM")]
    pub(crate) facade: Vec<Facade>,
    /// Topic on which it is told how many subscribers each other topic has, as that changes
    /// [default: none].
    #[arg(long, value_name = "TOPIC")]
    pub(crate) presence: Option<String>,
    /// Time over which the streams end, one after the other, when the server is told to end.
    ///
    /// Each is told when to come back. Few streams take less, 4 ms each.
    #[arg(long, value_name = "TIME", default_value_t = Span(limits::DRAIN_DEFAULT))]
    pub(crate) drain: Span,
    /// What is logged, as tracing's `EnvFilter` has it: `debug`, or `warn,fanfare=info`.
    #[arg(long, value_name = "FILTER", default_value = FILTER_DEFAULT)]
    #[arg(value_parser = logging::checked)]
    pub(crate) log: String,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "History, and subscribers that lag")]
pub(crate) struct HistorySettings {
    /// Most bytes of messages to retain, as in 512KiB, 64MiB or 2GiB.
    ///
    /// It is the memory of the history, and how far a subscriber may resume or lag.
    #[arg(long, value_name = "SIZE", default_value_t = Size(limits::HISTORY_BYTES_DEFAULT))]
    pub(crate) history_bytes: Size,
    /// What becomes of a subscriber that reads too slowly, unless its `?lag=` says something else.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) lag: Lag,
    /// How far a subscriber may lag before that, as in 4MiB [default: as far as the history].
    ///
    /// It costs nothing: who lags reads the history.
    #[arg(long, value_name = "SIZE")]
    pub(crate) lag_bytes: Option<Size>,
    /// Time between two heartbeats of a quiet stream; 0 is none.
    ///
    /// Each is a send of some 7 µs of CPU, only to streams that were quiet.
    #[arg(long, value_name = "TIME", default_value_t = Span(limits::HEARTBEAT_DEFAULT))]
    pub(crate) heartbeat: Span,
}

impl HistorySettings {
    /// As the library has it.
    pub(crate) fn heartbeat(&self) -> Option<Duration> {
        self.heartbeat.or_none()
    }

    /// As the library has it.
    pub(crate) fn lag_bytes(&self) -> Option<u64> {
        self.lag_bytes.map(|bytes| bytes.0 as u64)
    }
}

/// Another system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Facade {
    /// Mercure's hub, at /.well-known/mercure.
    Mercure,
    /// Nchan's publishers at /pub and EventSource subscribers at /sub.
    Nchan,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Driver {
    /// io_uring where the kernel allows it, epoll elsewhere.
    #[default]
    Auto,
    /// io_uring, or no start.
    Uring,
    /// epoll.
    Epoll,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lag {
    /// It is cut, and may resume.
    #[default]
    Disconnect,
    /// It is told of the gap, and goes on with the newest message.
    Skip,
    /// It gets the latest message of each conflation key.
    Conflate,
}

impl From<Driver> for DriverChoice {
    fn from(driver: Driver) -> Self {
        match driver {
            Driver::Auto => Self::Auto,
            Driver::Uring => Self::Uring,
            Driver::Epoll => Self::Epoll,
        }
    }
}

impl From<Facade> for server::Facade {
    fn from(facade: Facade) -> Self {
        match facade {
            Facade::Mercure => Self::Mercure,
            Facade::Nchan => Self::Nchan,
        }
    }
}

impl From<Lag> for LagPolicy {
    fn from(lag: Lag) -> Self {
        match lag {
            Lag::Disconnect => Self::Disconnect,
            Lag::Skip => Self::SkipToNewest,
            Lag::Conflate => Self::Conflate,
        }
    }
}
