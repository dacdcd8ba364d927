//! Starting the cores and ending them.

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, eventfd},
    process::{Resource, getrlimit},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

use super::{
    admission::{Admission, Asked, HandedOver},
    commands::EndsCommands,
    core::{Command, Core, CoreContext},
    counters::CoreCounters,
    driver::{Driver, DriverOptions, Epoll, Uring},
    inspect::{Cores, Line},
    listener::listen,
    tuning::{SharedTuning, Tuning},
};
use crate::{
    limits,
    log::ReaderId,
    provider::{LocalProvider, Reader},
};

/// Which driver to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverChoice {
    /// io_uring if the kernel and the sandbox allow it, else epoll.
    #[default]
    Auto,
    /// io_uring, or fail to start.
    Uring,
    /// epoll.
    Epoll,
}

/// The driver in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverKind {
    /// io_uring.
    Uring,
    /// epoll and `send(2)`.
    Epoll,
}

/// How to start an engine.
#[derive(Debug)]
pub struct EngineOptions {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Threads; none is one per CPU this process may use.
    pub cores: Option<NonZeroUsize>,
    /// Which driver.
    pub driver: DriverChoice,
    /// Limits and heartbeats, which [`Engine::retune`] changes.
    pub tuning: SharedTuning,
    /// How old a stream may become, a tenth more or less; none is as old as it likes.
    pub age_max: Option<Duration>,
    /// Who may come in.
    pub admission: Arc<dyn Admission>,
    /// Where connections go that are not subscriptions.
    pub hand_over: tokio::sync::mpsc::Sender<HandedOver>,
    /// Where questions go that admission asks, to be run.
    pub questions: tokio::sync::mpsc::Sender<Asked>,
}

impl EngineOptions {
    /// An engine on a free port of the loopback address, with every default. What is handed over, or
    /// asked, goes to these; where nobody receives it, it is refused.
    pub fn new(
        admission: Arc<dyn Admission>,
        hand_over: tokio::sync::mpsc::Sender<HandedOver>,
        questions: tokio::sync::mpsc::Sender<Asked>,
    ) -> Self {
        Self {
            listen: ([127, 0, 0, 1], 0).into(),
            cores: None,
            driver: DriverChoice::Auto,
            tuning: SharedTuning::default(),
            age_max: None,
            admission,
            hand_over,
            questions,
        }
    }
}

/// The running cores. Dropping it drains them and waits.
#[derive(Debug)]
pub struct Engine {
    address: SocketAddr,
    driver: DriverKind,
    driver_reason: String,
    cores: Vec<CoreHandle>,
}

#[derive(Debug)]
struct CoreHandle {
    context: CoreContext,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// Why the engine does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// io_uring was asked for and is not to be had.
    #[error("io_uring is not available here ({0}); `--driver epoll` works without it")]
    Uring(String),
    /// More cores than there can be readers of a Log.
    #[error("{cores} cores are more than {max}", max = ReaderId::MAX)]
    TooManyCores {
        /// How many were asked for.
        cores: usize,
    },
    /// A thread or what it needs could not be made.
    #[error("cannot start a core")]
    Core(#[source] io::Error),
}

impl Engine {
    /// Starts the cores; they serve when this returns.
    ///
    /// # Errors
    /// [`StartError`] says what could not be had.
    pub fn start(options: EngineOptions, provider: &LocalProvider) -> Result<Self, StartError> {
        let (driver, why) = options.driver.resolve()?;
        match Self::start_over(driver, why, &options, provider) {
            // One ring could be had, but not one for each core.
            Err(StartError::Core(error)) if can_fall_back(options.driver, driver) => {
                let why = format!("no io_uring for each core: {error}");
                Self::start_over(DriverKind::Epoll, why, &options, provider)
            }
            started => started,
        }
    }

    fn start_over(
        driver: DriverKind,
        driver_reason: String,
        options: &EngineOptions,
        provider: &LocalProvider,
    ) -> Result<Self, StartError> {
        let cpus = usable_cpus();
        let count = options.cores.map_or(cpus.len(), NonZeroUsize::get);
        if count > ReaderId::MAX {
            return Err(StartError::TooManyCores { cores: count });
        }
        let Tuning { limits, .. } = options.tuning.get();
        let listeners = listen(options.listen, count, &limits)
            .map_err(|error| StartError::Listen { address: options.listen, error })?;
        let address = listeners[0].local_addr().map_err(StartError::Core)?;
        let mut engine = Self { address, driver, driver_reason, cores: Vec::new() };
        for (number, listener) in listeners.into_iter().enumerate() {
            let spec = CoreSpec {
                number: number as u32,
                name: format!("fanfare-core-{number}"),
                // More cores than CPUs share them as the scheduler sees fit.
                cpu: (count <= cpus.len()).then(|| cpus[number]),
                driver,
                listener,
                sockets_max: sockets_max(driver, count, limits.connections_per_core),
            };
            engine.cores.push(start_core(spec, options, provider).map_err(StartError::Core)?);
        }
        Ok(engine)
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The driver in use.
    pub fn driver(&self) -> DriverKind {
        self.driver
    }

    /// Why this driver.
    pub fn driver_reason(&self) -> &str {
        &self.driver_reason
    }

    /// A way to the cores, for an operator.
    pub fn cores(&self) -> Cores {
        let line = |core: &CoreHandle| Line {
            commands: Arc::clone(&core.context.commands),
            reader: Arc::clone(&core.context.reader),
            counters: Arc::clone(&core.context.counters),
        };
        Cores::new(self.cores.iter().map(line).collect())
    }

    /// The counters of every core.
    pub fn counters(&self) -> impl Iterator<Item = &Arc<CoreCounters>> {
        self.cores.iter().map(|core| &core.context.counters)
    }

    /// Asks the cores to end: they stop accepting, and end every stream in order, one after the other
    /// over this time, or [`limits::DRAIN_PACE`] each if that is less. Whoever is owed something gets
    /// [`Limits::drain_deadline`](limits::Limits::drain_deadline) more. Returns at once; a later call
    /// may shorten it.
    pub fn drain(&self, over: Duration) {
        for core in &self.cores {
            // What is pushed out of a full queue matters no more: a core ends by the last such command.
            core.context.commands.force_push(Command::Drain { over });
            core.context.reader.notify();
        }
    }

    /// Goes on with other limits and heartbeats, without ending anybody. What is read at the start stays
    /// as it was. Returns at once; each core changes before its next turn.
    pub fn retune(&self, tuning: Tuning) {
        for core in &self.cores {
            // They share it; but there may be none.
            core.context.tuning.set(tuning);
            // A full queue needs none: a core looks at what is in force whatever it is told.
            core.context.commands.push(Command::Retune);
            core.context.reader.notify();
        }
    }

    /// Waits until the cores have ended, which is after a [`drain`](Self::drain).
    ///
    /// # Panics
    /// If a core has panicked: with the same message.
    pub fn wait(&mut self) {
        for core in &mut self.cores {
            // An error was logged when it happened.
            if let Some(Err(panic)) = core.thread.take().map(JoinHandle::join) {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.drain(Duration::ZERO);
        if !std::thread::panicking() {
            self.wait();
        }
    }
}

impl DriverChoice {
    /// The driver that this choice comes to here, and why: io_uring is tried out for it, which takes
    /// some milliseconds.
    ///
    /// # Errors
    /// [`StartError::Uring`] if io_uring was asked for and is not to be had.
    pub fn resolve(self) -> Result<(DriverKind, String), StartError> {
        match self {
            Self::Epoll => Ok((DriverKind::Epoll, "asked for".to_owned())),
            Self::Uring => match Uring::probe() {
                Ok(()) => Ok((DriverKind::Uring, "asked for".to_owned())),
                Err(reason) => Err(StartError::Uring(reason)),
            },
            Self::Auto => Ok(match Uring::probe() {
                Ok(()) => (DriverKind::Uring, "this kernel has all it needs".to_owned()),
                Err(reason) => (DriverKind::Epoll, format!("no io_uring: {reason}")),
            }),
        }
    }
}

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uring => "io_uring",
            Self::Epoll => "epoll",
        })
    }
}

struct CoreSpec {
    number: u32,
    name: String,
    cpu: Option<usize>,
    driver: DriverKind,
    listener: TcpListener,
    sockets_max: usize,
}

fn can_fall_back(asked: DriverChoice, driver: DriverKind) -> bool {
    asked == DriverChoice::Auto && driver == DriverKind::Uring
}

fn start_core(
    spec: CoreSpec,
    options: &EngineOptions,
    provider: &LocalProvider,
) -> io::Result<CoreHandle> {
    let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    let context = CoreContext {
        number: spec.number,
        provider: provider.clone(),
        reader: register(provider, &wake)?,
        admission: Arc::clone(&options.admission),
        hand_over: options.hand_over.clone(),
        questions: options.questions.clone(),
        counters: Arc::default(),
        commands: Arc::default(),
        connections_max: connections_max(spec.sockets_max),
        age_max: options.age_max,
        tuning: options.tuning.clone(),
    };
    let (started, starting) = mpsc::channel();
    let thread_context = context.clone();
    let thread = std::thread::Builder::new().name(spec.name.clone()).spawn(move || {
        if let Some(cpu) = spec.cpu {
            pin(cpu);
        }
        run_core(spec, &wake, thread_context, &started)
    })?;
    let core = CoreHandle { context, thread: Some(thread) };
    match starting.recv() {
        Ok(()) => Ok(core),
        // The thread has ended without saying so: its result tells why.
        Err(mpsc::RecvError) => {
            let thread = core.thread.expect("set above");
            let ended = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Err(ended.expect_err("a core that runs says so first"))
        }
    }
}

fn register(provider: &LocalProvider, wake: &Arc<OwnedFd>) -> io::Result<Arc<Reader>> {
    let wake = Arc::clone(wake);
    let wake = Box::new(move || {
        // Full means that a wake is pending already.
        let _ = rustix::io::write(&wake, &1_u64.to_ne_bytes());
    });
    let full = || io::Error::other("the provider has as many readers as it can have");
    provider.register_reader(wake).ok_or_else(full)
}

fn run_core(
    spec: CoreSpec,
    wake: &OwnedFd,
    context: CoreContext,
    started: &mpsc::Sender<()>,
) -> io::Result<()> {
    let options = DriverOptions {
        listener: spec.listener,
        wake: wake.as_fd(),
        sockets_max: spec.sockets_max,
    };
    match spec.driver {
        DriverKind::Uring => serve(Core::new(Uring::new(options)?, context), started),
        DriverKind::Epoll => serve(Core::new(Epoll::new(options)?, context), started),
    }
}

fn serve<D: Driver>(core: Core<D>, started: &mpsc::Sender<()>) -> io::Result<()> {
    let commands = Arc::clone(&core.context.commands);
    let _ends = EndsCommands(&commands);
    // Whoever started this thread waits for the word, so it is there to hear it.
    let _ = started.send(());
    core.run().inspect_err(|error| tracing::error!(%error, "a core has failed"))
}

/// Direct descriptors are limited per ring by the same number that limits the process's own.
fn sockets_max(driver: DriverKind, cores: usize, connections_max: usize) -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
    let limit = match driver {
        DriverKind::Uring => descriptors,
        DriverKind::Epoll => {
            let reserved = limits::DESCRIPTORS_RESERVED.min(descriptors / 4);
            (descriptors - reserved) / cores
        }
    };
    limit.min(connections_max.saturating_add(limits::SOCKETS_TO_REFUSE_WITH)).max(1)
}

/// Some sockets are kept back, so that those too many are told so and not left in the backlog.
fn connections_max(sockets_max: usize) -> usize {
    sockets_max - limits::SOCKETS_TO_REFUSE_WITH.min(sockets_max / 2)
}

fn usable_cpus() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(None) else { return vec![0] };
    (0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect()
}

fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    // Where it is not allowed the scheduler decides, which is slower but right.
    let _ = sched_setaffinity(None, &set);
}
