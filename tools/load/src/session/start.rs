//! How a session begins: limits, the server, what everybody is told, the publisher, the workers.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use super::book::Book;
use super::fleet::Fleet;
use super::{ANSWER_WITHIN, LoadArgs, NOWHERE_TO_PUBLISH, Part, Plan, Publishing, Session};
use crate::clock::Clock;
use crate::machine;
use crate::payload::Format;
use crate::publisher::Plan as PublisherPlan;
use crate::report::Progress;
use crate::server::{Sampler, ServerProcess, Usage, kernel_bytes};
use crate::target::Target;
use crate::worker::{Setup, Standing};

/// Points of a series, for a run that ends when it is expected to.
const POINTS: u32 = 60;
/// Events followed per second.
const FOLLOWED_PER_SECOND: f64 = 100.0;

impl Session {
    /// Starts what a scenario plays with. Nothing is connected.
    ///
    /// # Errors
    /// In words: what the machine does not allow, a server or worker that cannot be started, options
    /// that make no sense.
    pub(crate) fn start(load: &LoadArgs, plan: Plan) -> Result<Self, String> {
        let began = SystemTime::now();
        let processes = machine::ensure_files(load.subscribers, load.processes)?;
        let (url, server) = match load.target.running()? {
            Some(url) => (url.to_owned(), None),
            None => {
                let (given, cpu) = (load.server.as_deref(), load.server_cpu);
                let server = ServerProcess::start(given, cpu, &load.server_args)?;
                (server.url(), Some(server))
            }
        };
        let mut pids = load.pids.clone();
        pids.extend(server.as_ref().map(ServerProcess::pid));
        let usage_start = Usage::read(&pids)?;
        if let Some(cpu) = load.cpu {
            machine::pin(cpu)?;
        }
        let target = Target::resolve(&load.target, &url)?;
        machine::ensure_ports(load.subscribers, target.address, &load.sources)?;
        let clock = Clock::start();
        let slice =
            (plan.expected / POINTS).clamp(Duration::from_millis(100), Duration::from_secs(5));
        let setup = setup(load, &plan, &target, clock, processes, slice);
        let publishing = publishing(load, &plan, &target, &setup)?;
        let setups: Vec<Setup> =
            (0..processes).map(|worker| Setup { worker, ..setup.clone() }).collect();
        let kernel_start = kernel_bytes();
        let fleet = Fleet::start(&setups)?;
        let sampler = (!pids.is_empty()).then(|| Sampler::start(pids.clone(), clock, slice));
        let workers = processes as usize;
        let keeps_latencies = load.hdr.is_some();
        let mut session = Self {
            load: load.clone(),
            progress: Progress::new(load.outputs.progress(load.progress)),
            plan,
            clock,
            began,
            url,
            target,
            server,
            pids,
            sampler,
            fleet,
            runtimes: Vec::new(),
            publishing,
            published: 0,
            first_due_ns: None,
            book: Book::new(setup.slice_ns, workers, keeps_latencies),
            standing: vec![Standing::default(); workers],
            flushed: 0,
            first: Vec::new(),
            heard_first: 0,
            closed: BTreeMap::new(),
            next_slice_ns: setup.slice_ns,
            setup,
            usage_start,
            usage_ready: None,
            has_stood: false,
            told_to_expect: None,
            kernel_start,
            kernel_ready: kernel_start,
            connecting: Part::default(),
            whole: Part::default(),
            phases: Vec::new(),
            stage: None,
        };
        session.await_that(ANSWER_WITHIN, "ready", |session| session.runtimes.len() == workers)?;
        Ok(session)
    }
}

fn setup(
    load: &LoadArgs,
    plan: &Plan,
    target: &Target,
    clock: Clock,
    processes: u32,
    slice: Duration,
) -> Setup {
    Setup {
        worker: 0,
        workers: processes,
        subscribers: load.subscribers,
        target: target.clone(),
        topics: load.topic_names(),
        payload_bytes: load.size,
        payload_seed: RandomState::new().hash_one("seed"),
        clock,
        runtime: load.runtime,
        sources: load.sources.clone(),
        connecting: load.connecting.div_ceil(processes),
        late_after_ns: load.late.as_nanos() as u64,
        blind: load.blind,
        follow_one_in: follow_one_in(plan.rate.unwrap_or(1.0)),
        slice_ns: slice.as_nanos() as u64,
        slow: plan.slow.clone(),
        passing: plan.passing.clone(),
    }
}

/// One in how many events is followed: a power of two.
fn follow_one_in(rate: f64) -> u64 {
    ((rate / FOLLOWED_PER_SECOND).ceil() as u64).max(1).next_power_of_two()
}

/// Connects the publisher, when something is to be published.
fn publishing(
    load: &LoadArgs,
    plan: &Plan,
    target: &Target,
    setup: &Setup,
) -> Result<Option<Publishing>, String> {
    if plan.rate.is_none() {
        return Ok(None);
    }
    let route = target.publish.clone().ok_or(NOWHERE_TO_PUBLISH)?;
    let format = Format::new(load.size, setup.payload_seed);
    let (topics, clock) = (setup.topics.clone(), setup.clock);
    let written = Arc::new(AtomicU64::new(0));
    Publishing::start(PublisherPlan { route, topics, format, clock, written }).map(Some)
}
