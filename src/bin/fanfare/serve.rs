//! `fanfare serve`: settings in, a running server out.

use std::{
    error::Error,
    io::{self, Write},
    process,
    str::FromStr,
    time::Duration,
};

use clap::{Args, ValueEnum};
use fanfare::{DriverChoice, Server, limits, provider::LagPolicy, server};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
};

use crate::access::AccessSettings;

/// What `serve`, or no command at all, takes.
#[derive(Args)]
pub(crate) struct Serve {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Threads that serve subscribers [default: one per CPU].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) cores: Option<u16>,
    /// How to move bytes.
    #[arg(long, value_enum, default_value_t)]
    driver: Driver,
    /// Most bytes of messages to retain, as in 512KiB, 64MiB or 2GiB.
    #[arg(long, value_name = "SIZE", default_value_t = Size(limits::HISTORY_BYTES_DEFAULT))]
    history_bytes: Size,
    /// What becomes of a subscriber that reads too slowly, unless its `?lag=` says something else.
    #[arg(long, value_enum, default_value_t)]
    lag: Lag,
    /// How far a subscriber may lag before that, as in 4MiB [default: as far as the history].
    #[arg(long, value_name = "SIZE")]
    lag_bytes: Option<Size>,
    /// Seconds over which the streams end, one after the other, when the server is told to end.
    #[arg(long, value_name = "SECONDS", default_value_t = limits::DRAIN_DEFAULT.as_secs())]
    drain: u64,
    /// Seconds between two heartbeats of a quiet stream; 0 is none.
    #[arg(long, value_name = "SECONDS", default_value_t = limits::HEARTBEAT_DEFAULT.as_secs())]
    heartbeat: u64,
    /// Answer at the URLs of these systems too, for those who move from them.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SYSTEM")]
    facade: Vec<Facade>,
    #[command(flatten)]
    access: AccessSettings,
}

/// Another system.
#[derive(Clone, Copy, ValueEnum)]
enum Facade {
    /// Mercure's hub, at /.well-known/mercure.
    Mercure,
    /// Nchan's publishers at /pub and EventSource subscribers at /sub.
    Nchan,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Driver {
    /// io_uring where the kernel allows it, epoll elsewhere.
    #[default]
    Auto,
    /// io_uring, or no start.
    Uring,
    /// epoll.
    Epoll,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Lag {
    /// It is cut, and may resume.
    #[default]
    Disconnect,
    /// It is told of the gap, and goes on with the newest message.
    Skip,
    /// It gets the latest message of each conflation key.
    Conflate,
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size(usize);

/// Serves until a signal, and then until what is owed has been sent.
pub(crate) fn run(serve: &Serve) -> Result<(), Box<dyn Error>> {
    refuse_huge_pages();
    raise_descriptor_limit();
    // Before anything listens, so that a signal is never met by its default.
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    let mut signals = runtime.block_on(async { Signals::new() })?;

    let mut builder = Server::builder()
        .listen(serve.listen.as_str())
        .driver(serve.driver.into())
        .history_bytes(serve.history_bytes.0)
        .lag(serve.lag.into())
        .access(serve.access.access()?)
        .heartbeat((serve.heartbeat > 0).then(|| Duration::from_secs(serve.heartbeat)));
    if let Some(bytes) = serve.lag_bytes {
        builder = builder.lag_bytes(bytes.0 as u64);
    }
    if let Some(cores) = serve.cores {
        builder = builder.cores(cores.into());
    }
    for facade in &serve.facade {
        builder = builder.facade((*facade).into());
    }
    let drain = Duration::from_secs(serve.drain);
    let server = builder.start()?;
    greet(&server);
    tell(NotifyState::Ready);

    runtime.block_on(signals.next());
    tracing::info!(over = ?drain, "draining; a second signal ends at once");
    tell(NotifyState::Stopping);
    server.drain(drain);
    std::thread::spawn(move || {
        runtime.block_on(signals.next());
        process::exit(130);
    });
    server.wait();
    Ok(())
}

/// An idle subscriber costs some 200 B, but huge pages make the heap grow by 2 MiB at a time:
/// measured 190 B each without and 1,300 B with, at 10,000, and the same throughput.
fn refuse_huge_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "the heap may use huge pages");
    }
}

/// A shell's usual limit is 1,024 descriptors where the system allows many more.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the descriptor limit stays");
    }
}

/// Tells the service manager how the server is, if there is one that asks (`NOTIFY_SOCKET`).
fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// One line that says what runs, and two that show how to use it.
fn greet(server: &Server) {
    let address = server.local_addr();
    let (cores, driver, why) = (server.cores(), server.driver(), server.driver_reason());
    let plural = if cores == 1 { "" } else { "s" };
    let lines = format!(
        "fanfare {} listening on http://{address} · {cores} core{plural} · {driver} ({why})\n\
         subscribe: curl -N 'http://{address}/events?topic=demo'\n\
         publish:   curl --json '{{\"data\":\"hello\"}}' 'http://{address}/publish?topic=demo'\n",
        env!("CARGO_PKG_VERSION"),
    );
    // Nobody may be reading, and that is no reason not to serve.
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush());
}

/// The signals that ask a process to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
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

const UNITS: [(&str, usize); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let with_unit = |&(unit, bytes)| Some((text.strip_suffix(unit)?, bytes));
        let (digits, unit) = UNITS.iter().find_map(with_unit).unwrap_or((text, 1));
        let number: usize = digits
            .trim_end()
            .parse()
            .map_err(|_| "expected a number of bytes, such as 1000, 512KiB, 64MiB or 2GiB")?;
        number.checked_mul(unit).map(Self).ok_or_else(|| format!("too many bytes: {text}"))
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match UNITS.iter().rev().find(|(_, bytes)| self.0 > 0 && self.0.is_multiple_of(*bytes)) {
            Some((unit, bytes)) => write!(f, "{}{unit}", self.0 / bytes),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_and_survive_the_round_trip() {
        for (text, bytes) in [("0", 0), ("1000", 1000), ("512KiB", 512 << 10), ("64MiB", 64 << 20)]
        {
            assert_eq!(text.parse(), Ok(Size(bytes)));
            assert_eq!(Size(bytes).to_string(), text);
        }
        for text in ["", "64MB", "64 mib", "-1", "1.5GiB", "KiB", "99999999999GiB"] {
            assert!(text.parse::<Size>().is_err(), "{text:?}");
        }
    }
}
