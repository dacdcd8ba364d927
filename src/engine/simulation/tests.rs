//! Runs the seeds.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use fastrand::Rng;

use super::{Plan, World, oracle::Tally};
use crate::engine::{connection::EndReason, driver::sim::Network};

const SEEDS_DEFAULT: u64 = 300;

/// A seed that breaks a promise, and how.
#[derive(Debug)]
struct Failure {
    seed: u64,
    what: String,
    trace: String,
}

/// What became of a seed that keeps all promises.
#[derive(Clone, Copy, Debug)]
struct Kept {
    tally: Tally,
    hash: u64,
}

/// Runs one seed.
fn run(seed: u64, start: Instant, is_printed: bool) -> Result<Kept, Failure> {
    let mut rng = Rng::with_seed(seed);
    let plan = Plan::draw(&mut rng);
    let network = Rc::new(RefCell::new(Network::new(start, rng.fork(), plan.faults)));
    network.borrow_mut().trace.is_printed = is_printed;
    if is_printed {
        println!("{plan:#?}");
    }
    let world = Rc::clone(&network);
    let ran = catch_unwind(AssertUnwindSafe(move || World::new(plan, world, rng).run()));
    let trace = &network.borrow().trace;
    let failed = |what| Failure { seed, what, trace: trace.to_string() };
    ran.map(|tally| Kept { tally, hash: trace.hash() }).map_err(|panic| failed(text_of(&*panic)))
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}

impl Failure {
    fn report(&self) -> String {
        let Self { seed, what, trace } = self;
        format!(
            "seed {seed}: {what}\n\nthe last things that happened:\n{trace}\nagain: \
             FANFARE_SIM_SEED={seed} cargo test --lib simulation -- --nocapture\n"
        )
    }
}

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} wants a number, not {value:?}")))
}

/// Runs the seeds on all CPUs, until one fails.
fn run_all(seeds: std::ops::Range<u64>) -> Result<Tally, Failure> {
    let next = AtomicU64::new(seeds.start);
    let result = Mutex::new(Ok(Tally::default()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || result.lock().expect("no panic under it").is_err() {
                        return;
                    }
                    let kept = run(seed, start, false);
                    let mut result = result.lock().expect("no panic under it");
                    match (&mut *result, kept) {
                        (Ok(tally), Ok(kept)) => tally.add(&kept.tally),
                        (Ok(_), Err(failure)) => *result = Err(failure),
                        (Err(_), _) => {}
                    }
                }
            });
        }
    });
    result.into_inner().expect("no panic under it")
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.ends.iter_mut().zip(other.ends).for_each(|(sum, more)| *sum += more);
        self.streams += other.streams;
        self.gaps += other.gaps;
        self.skips += other.skips;
        self.bytes += other.bytes;
        self.published += other.published;
        self.complete += other.complete;
        self.virtual_time += other.virtual_time;
        self.notes += other.notes;
    }

    fn print(&self, seeds: u64, took: Duration) {
        println!(
            "{seeds} seeds in {took:.1?}: {:.0} a second, {:.0} times real time on all CPUs together",
            seeds as f64 / took.as_secs_f64(),
            self.virtual_time.as_secs_f64() / took.as_secs_f64(),
        );
        let Self { streams, gaps, skips, bytes, published, complete, notes, .. } = self;
        println!(
            "{published} messages, {streams} streams, {gaps} gaps, {skips} skips, {complete} found complete, \
             {bytes} bytes, {notes} things happened"
        );
        for reason in EndReason::ALL {
            println!("{:>16} {}", reason.name(), self.ends[reason.index()]);
        }
    }
}

#[test]
fn every_seed_keeps_every_promise() {
    if let Some(seed) = number("FANFARE_SIM_SEED") {
        let kept =
            run(seed, Instant::now(), true).unwrap_or_else(|failed| panic!("{}", failed.report()));
        return println!("{kept:#?}");
    }
    let from = number("FANFARE_SIM_FROM").unwrap_or(0);
    let count = number("FANFARE_SIM_SEEDS").unwrap_or(SEEDS_DEFAULT);
    let began = Instant::now();
    let tally = run_all(from..from + count).unwrap_or_else(|failed| panic!("{}", failed.report()));
    tally.print(count, began.elapsed());
    if count >= SEEDS_DEFAULT {
        for reason in EndReason::ALL {
            assert_ne!(
                tally.ends[reason.index()],
                0,
                "no seed ends a connection as {}",
                reason.name()
            );
        }
        assert!(tally.gaps > 0 && tally.skips > 0 && tally.complete > 0);
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let start = Instant::now();
    let mut hashes = std::collections::HashSet::new();
    for seed in 0..20 {
        let hash = |start| run(seed, start, false).expect("it keeps its promises").hash;
        let first = hash(start);
        assert_eq!(first, hash(start + Duration::from_secs(1)), "seed {seed}");
        assert!(hashes.insert(first), "two seeds do the same");
    }
}
