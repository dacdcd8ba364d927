//! Very many connections to one server process: `cargo bench --bench crowd -- MODE [options]`
//!
//! This process is the server, so its memory and its threads' CPU time are the server's. The subscribers
//! live in child processes, as many as their descriptors ask for, on the other CPU; they audit every
//! event: one that is lost, comes twice or out of order fails the run. On 2 CPUs 100,000 connections take
//! 7 cores on one CPU, because a core's ring has a table of descriptors with the limit of a process.

mod accept;
mod broadcast;
mod cost;
mod floor;
mod hot;
mod idle;
mod member;
mod members;
mod memory;
mod private;
mod proc;
mod report;
mod saturated;
mod server;
mod stalled;
mod storm;
mod stream;
mod wire;

use std::{path::PathBuf, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use fanfare::DriverChoice;

use self::{report::Report, server::Setup};

/// As the server's binary has it: what a subscriber costs is a matter of the allocator too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a child is started with.
const MEMBER_FLAG: &str = "--member";

/// Very many connections to one server process.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    mode: Option<Mode>,
    /// Bytes of an event's data.
    #[arg(long, global = true, default_value_t = 128)]
    size: usize,
    /// How the server moves bytes.
    #[arg(long, global = true, value_enum, default_value_t = Driver::Uring)]
    driver: Driver,
    /// Where to write the rows as JSON.
    #[arg(long, global = true)]
    json: Option<PathBuf>,
    /// What cargo passes to every benchmark.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Driver {
    Uring,
    Epoll,
}

#[derive(Subcommand)]
enum Mode {
    /// Memory of an idle subscriber, here and in the kernel.
    Memory(memory::Options),
    /// One topic, everybody: all get everything, and when the last has it.
    Broadcast(broadcast::Options),
    /// CPU time of a delivery as the crowd grows, beside a plain loop over send(2).
    Cost(cost::Options),
    /// A topic for each connection, and one for all.
    Private(private::Options),
    /// One topic, published flat out.
    Saturated(saturated::Options),
    /// Ten topics that are busy, a thousand subscribers each.
    Hot(hot::Options),
    /// Healthy subscribers beside ones that don't read.
    Stalled(stalled::Options),
    /// Healthy subscribers beside others that come and go.
    Storm(storm::Options),
    /// Connections accepted, answered and subscribed per second.
    Accept(accept::Options),
    /// CPU time of subscribers to whom nothing is sent.
    Idle(idle::Options),
}

impl Mode {
    fn name(&self) -> &'static str {
        match self {
            Self::Memory(_) => "memory",
            Self::Broadcast(_) => "broadcast",
            Self::Cost(_) => "cost",
            Self::Private(_) => "private",
            Self::Saturated(_) => "saturated",
            Self::Hot(_) => "hot",
            Self::Stalled(_) => "stalled",
            Self::Storm(_) => "storm",
            Self::Accept(_) => "accept",
            Self::Idle(_) => "idle",
        }
    }

    fn run(&self, setup: Setup, report: &mut Report) {
        match self {
            Self::Memory(options) => memory::run(options, setup, report),
            Self::Broadcast(options) => broadcast::run(options, setup, report),
            Self::Cost(options) => cost::run(options, setup, report),
            Self::Private(options) => private::run(options, setup, report),
            Self::Saturated(options) => saturated::run(options, setup, report),
            Self::Hot(options) => hot::run(options, setup, report),
            Self::Stalled(options) => stalled::run(options, setup, report),
            Self::Storm(options) => storm::run(options, setup, report),
            Self::Accept(options) => accept::run(options, setup, report),
            Self::Idle(options) => idle::run(options, setup, report),
        }
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(MEMBER_FLAG) {
        return member::run(&arguments.next().expect("whoever starts it says where it runs"));
    }
    let arguments = Arguments::parse();
    let Some(mode) = arguments.mode else {
        // Every benchmark is run without arguments when all are.
        println!("{}", Arguments::command().render_help());
        return ExitCode::SUCCESS;
    };
    let mut report = Report::new(mode.name().to_owned(), proc::machine());
    proc::raise_descriptor_limit();
    proc::refuse_huge_pages();
    // Publishing and waiting are measured too; the cores and the children choose their own place.
    proc::pin(Some(proc::MEMBERS_CPU));
    proc::set_priority(proc::first());
    let driver = match arguments.driver {
        Driver::Uring => DriverChoice::Uring,
        Driver::Epoll => DriverChoice::Epoll,
    };
    let setup = Setup { driver, cpus: 1, size: arguments.size };
    mode.run(setup, &mut report);
    if let Some(path) = arguments.json {
        report.write(&path);
    }
    if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
