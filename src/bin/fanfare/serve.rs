//! `fanfare serve`: settings in, a running server out.

use std::{
    env,
    error::Error,
    io::{self, IsTerminal, Write},
    process,
};

use fanfare::{Server, ServerBuilder};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
};

use super::{
    logging::Logging,
    reload::Reloader,
    settings::{self, Flags, Settings},
};

/// Serves until a signal, and then until what is owed has been sent.
pub(crate) fn run(flags: &Flags, logging: &Logging) -> Result<(), Box<dyn Error>> {
    let resolved = settings::resolve(flags, &|variable| env::var_os(variable))?;
    logging.set(&resolved.settings.server.log)?;
    refuse_huge_pages();
    raise_descriptor_limit();
    // Before anything listens, so that a signal is never met by its default.
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    // Whoever closes the terminal means to end what runs in it.
    let hang_up = match resolved.file.is_none() && io::stdin().is_terminal() {
        true => Asked::End,
        false => Asked::Reload,
    };
    let mut signals = runtime.block_on(async { Signals::new(hang_up) })?;

    let access = resolved.settings.access.access()?;
    let server = builder(&resolved.settings).access(access).start()?;
    greet(&server);
    tell(NotifyState::Ready);

    let mut reloader = Reloader::new(flags, logging, resolved);
    while runtime.block_on(signals.next()) == Asked::Reload {
        reloader.reload(&server);
    }
    let drain = reloader.drain();
    tracing::info!(over = ?drain, "draining; a second signal ends at once");
    tell(NotifyState::Stopping);
    server.drain(drain);
    std::thread::spawn(move || {
        while runtime.block_on(signals.next()) != Asked::End {}
        process::exit(130);
    });
    server.wait();
    Ok(())
}

fn builder(settings: &Settings) -> ServerBuilder {
    let Settings { server, history, limits, .. } = settings;
    let mut builder = Server::builder()
        .listen(server.listen.as_str())
        .driver(server.driver.into())
        .history_bytes(history.history_bytes.0)
        .lag(history.lag.into())
        .heartbeat(history.heartbeat())
        .connection_age(limits.connection_age())
        .limits(limits.into());
    if let Some(bytes) = history.lag_bytes() {
        builder = builder.lag_bytes(bytes);
    }
    if let Some(cores) = server.cores {
        builder = builder.cores(cores.into());
    }
    if let Some(address) = &server.admin {
        builder = builder.admin(address.as_str());
    }
    if let Some(topic) = &server.presence {
        builder = builder.presence(topic);
    }
    for facade in &server.facade {
        builder = builder.facade((*facade).into());
    }
    builder
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
    let operate = server.admin_addr().map(|address| format!("operate:   http://{address}/\n"));
    let lines = lines + &operate.unwrap_or_default();
    // Nobody may be reading, and that is no reason not to serve.
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush());
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    End,
    /// To read the settings again.
    Reload,
}

/// The signals that a server hears.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    /// What the last one asks for.
    hung_up: Asked,
}

impl Signals {
    fn new(hung_up: Asked) -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            hung_up,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::End,
            _ = self.terminate.recv() => Asked::End,
            _ = self.hang_up.recv() => self.hung_up,
        }
    }
}
