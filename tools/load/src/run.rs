//! One run, from the command line to the report.
//!
//! Order matters: the limit on open files is raised before a server is started, which inherits it;
//! the server is started before this process pins itself, which it would inherit too; publishing
//! begins when every subscriber is ready; the figures are taken before the connections are ended.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::args::Args;
use crate::clock::Clock;
use crate::link::{Driver, Runtime};
use crate::machine;
use crate::payload::Format;
use crate::publisher::{self, Outcome};
use crate::report::{self, Measured, Report, ServerUsage};
use crate::server_process::ServerProcess;
use crate::stream::Shared;
use crate::subscriber::{self, Crew};
use crate::target::Endpoint;
use crate::usage::{self, MemoryWatch};

/// No subscriber has become ready for so long: the rest never will.
const CONNECT_SILENCE: Duration = Duration::from_secs(10);
/// No delivery has come for so long after the last publish: the rest is missing.
const DELIVERY_SILENCE: Duration = Duration::from_secs(5);
/// After the last delivery, for duplicates that follow it.
const SETTLE: Duration = Duration::from_millis(100);
/// How long the subscribers' tasks may take to end.
const END_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The payload's sequence has eight hex digits.
const MESSAGES_MAX: f64 = u32::MAX as f64;

/// Where a run stands.
struct Run<'a> {
    args: &'a Args,
    plan: Rc<subscriber::Plan>,
    crew: Rc<RefCell<Crew>>,
    publisher: Option<publisher::Plan>,
    pid: Option<u32>,
}

/// Makes the run that the command line asks for.
///
/// # Errors
/// In words, when it could not be made; faults of the server are in the report.
pub(crate) fn run(args: &Args) -> Result<Report, String> {
    machine::ensure_files(args.subscribers)?;
    let (target, server) = match &args.target {
        Some(target) => (target.clone(), None),
        None => {
            let server = ServerProcess::start(args.server.as_deref(), args.server_cpu)?;
            (server.url(), Some(server))
        }
    };
    let pid = args.pid.or_else(|| server.as_ref().map(ServerProcess::pid));
    if let Some(cpu) = args.cpu {
        machine::pin(cpu)?;
    }
    let (runtime, runtime_name) =
        Runtime::build(args.runtime).map_err(|error| format!("making the runtime: {error}"))?;
    let run = Run::prepare(args, &target, pid, runtime.driver())?;
    let measured = runtime.block_on(run.measure())?;
    let setting = report::Setting { args, target, started: server.is_some(), runtime_name };
    Ok(Report::new(setting, measured))
}

impl<'a> Run<'a> {
    fn prepare(
        args: &'a Args,
        target: &str,
        pid: Option<u32>,
        driver: Driver,
    ) -> Result<Self, String> {
        let messages = messages(args)?;
        let events = Endpoint::resolve(target, &args.subscribe_url, &args.topic)?;
        let endpoint = Endpoint::resolve(target, &args.publish_url, &args.topic)?;
        let clock = Clock::start();
        let format = Format::new(args.size, RandomState::new().hash_one("seed"));
        let plan = subscriber::Plan {
            subscribers: args.subscribers,
            address: events.address,
            request: events.subscribe_request(),
            clock,
            driver,
            connecting: Semaphore::new(args.connecting as usize),
        };
        let shared = Shared::new(format.clone(), messages);
        let publisher = publisher::Plan {
            endpoint,
            mode: args.publish_mode,
            format,
            messages,
            rate: args.rate,
            clock,
        };
        let crew = Crew::new(args.subscribers, shared);
        Ok(Self { args, plan: Rc::new(plan), crew, publisher: Some(publisher), pid })
    }

    async fn measure(mut self) -> Result<Measured, String> {
        let memory_before = self.pid.map(usage::pss_bytes).transpose()?;
        let watch = self.pid.map(MemoryWatch::start);
        let tasks = self.connect();
        let ready_ns = self.all_ready().await?;
        let memory_ready = self.pid.map(usage::pss_bytes).transpose()?;

        let start_ns = self.plan.clock.now_ns();
        let server_cpu = self.pid.map(usage::cpu_time).transpose()?;
        let own_cpu = usage::cpu_time(std::process::id())?;
        let published = self.publish().await?;
        self.all_delivered(published.published).await;
        // A server that has crashed has no CPU time any more: that shows as cut subscribers.
        let server_cpu_after = self.pid.and_then(|pid| usage::cpu_time(pid).ok());
        let cpu = usage::cpu_time(std::process::id())?.saturating_sub(own_cpu);
        let wall_ns = self.plan.clock.now_ns() - start_ns;
        sleep(SETTLE).await;

        let cut = self.crew.borrow().ended;
        self.crew.borrow_mut().finish();
        for task in tasks {
            let _ = timeout(END_WITHIN, task).await;
        }
        let server = watch.map(|watch| ServerUsage {
            cpu: server_cpu_after
                .unwrap_or_default()
                .saturating_sub(server_cpu.unwrap_or_default()),
            memory_before: memory_before.unwrap_or_default(),
            memory_ready: memory_ready.unwrap_or_default(),
            memory_peak: watch.peak_bytes(),
        });
        Ok(Measured { crew: self.crew, published, server, cpu, ready_ns, wall_ns, cut })
    }

    fn connect(&self) -> Vec<JoinHandle<()>> {
        (0..self.plan.subscribers)
            .map(|index| {
                let (plan, crew) = (Rc::clone(&self.plan), Rc::clone(&self.crew));
                tokio::task::spawn_local(subscriber::subscribe(plan, crew, index))
            })
            .collect()
    }

    /// Waits for every response head. Returns how long that took.
    async fn all_ready(&self) -> Result<u64, String> {
        let start_ns = self.plan.clock.now_ns();
        let (mut seen, mut since) = (0, Instant::now());
        loop {
            let (ready, ended) = {
                let crew = self.crew.borrow();
                (crew.ready, crew.ended)
            };
            if ready == self.plan.subscribers {
                return Ok(self.plan.clock.now_ns() - start_ns);
            }
            if ready > seen {
                (seen, since) = (ready, Instant::now());
            }
            let settled = ready + ended >= self.plan.subscribers;
            if settled || since.elapsed() > CONNECT_SILENCE {
                let crew = self.crew.borrow();
                let why = crew.first_failure().unwrap_or("no answer");
                let all = self.plan.subscribers;
                return Err(format!("only {ready} of {all} subscribers are ready: {why}"));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn publish(&mut self) -> Result<Outcome, String> {
        let plan = self.publisher.take().ok_or("published twice")?;
        if plan.messages == 0 {
            sleep(self.args.duration).await;
            return Ok(Outcome::default());
        }
        let (done, outcome) = oneshot::channel();
        let publish = move || drop(done.send(publisher::publish(&plan)));
        std::thread::Builder::new()
            .name("publisher".to_owned())
            .spawn(publish)
            .map_err(|error| format!("starting the publisher: {error}"))?;
        outcome.await.map_err(|_| "the publisher has died".to_owned())
    }

    /// Waits until all is in, nobody is left, or nothing has come for a while.
    async fn all_delivered(&self, published: u64) {
        let expected = published * u64::from(self.plan.subscribers);
        let (mut seen, mut since) = (0, Instant::now());
        loop {
            let (delivered, ended) = {
                let crew = self.crew.borrow();
                (crew.shared.tally.delivered, crew.ended)
            };
            if delivered > seen {
                (seen, since) = (delivered, Instant::now());
            }
            let nobody_left = ended == self.plan.subscribers;
            if delivered >= expected || nobody_left || since.elapsed() > DELIVERY_SILENCE {
                return;
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

fn messages(args: &Args) -> Result<u64, String> {
    let messages = args.rate * args.duration.as_secs_f64();
    if messages > MESSAGES_MAX {
        return Err(format!("a run has at most {MESSAGES_MAX} messages"));
    }
    let some = if args.rate > 0.0 { 1 } else { 0 };
    Ok((messages.round() as u64).max(some))
}
