//! Does a provider keep the contract? Every rule of [`Provider`], run against any implementation.
//!
//! ```
//! use fanfare::provider::{BroadcastProvider, conformance::{self, Capabilities}};
//!
//! conformance::run(&Capabilities::default(), || BroadcastProvider::new(1024)).assert();
//! ```
//!
//! Each rule gets a provider of its own, on a thread of its own: one that panics, or hangs, fails that
//! rule and no other. Nothing is timed but how long it waits at most, and where a rule is that nothing
//! comes, it waits for something that was published later. What threads race for is tried often.
//!
//! It calls the provider from threads within a tokio runtime, so a provider may spawn tasks.

mod batches;
mod ending;
mod order;
mod publishing;
mod reader;
mod replay;
mod report;
mod subject;
mod subscribing;
#[cfg(test)]
mod tests;

use std::{
    any::Any,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use tokio::{runtime::Handle, sync::oneshot};

pub use self::report::{Finding, Outcome, Report};
use self::subject::{Fault, Make, Subject};
use super::Provider;

/// What a provider can do. Rules about the rest are skipped.
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// It publishes several messages as one.
    pub batches: bool,
    /// Its receipts count subscribers.
    pub counts: bool,
    /// It gives messages ids, and subscriptions go on after them.
    pub replay: Option<Replay>,
    /// The longest to wait for an event, or for a call to return. A minute may be right for a broker on
    /// a slow machine.
    pub patience: Duration,
}

/// What a provider remembers.
///
/// Messages are numbered by how many were published, whatever their topics. Those that the rules
/// publish here have a few bytes of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The last so many it remembers; at least 2.
    pub remembers: usize,
    /// Once so many have followed a message, it is forgotten.
    pub forgets: usize,
    /// What becomes of who asks for what follows an id that is not known, or forgotten.
    pub unknown_id: UnknownId,
}

/// What becomes of who asks for what follows an unknown id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownId {
    /// It is told by a [gap event](super::GAP_EVENT), and may then get what is remembered.
    Gap,
    /// It gets what is published from then on.
    Live,
}

/// How far a subscriber may be behind, in messages, in all rules but those about one that never reads.
/// A provider that cuts it sooner is not usable.
pub const MESSAGES_BEHIND: usize = 256;

impl Default for Capabilities {
    /// Those that every provider has.
    fn default() -> Self {
        Self { batches: false, counts: false, replay: None, patience: Duration::from_secs(10) }
    }
}

/// One rule of the contract.
#[derive(Debug)]
struct Rule {
    name: &'static str,
    text: &'static str,
    needs: Need,
    check: fn(&Subject) -> Result<(), Fault>,
}

/// What a rule is about, beyond what every provider does.
#[derive(Clone, Copy, Debug)]
enum Need {
    Nothing,
    Batches,
    NoBatches,
    Counts,
    Replay,
    Log,
}

fn rules() -> impl Iterator<Item = &'static Rule> {
    let parts = [
        publishing::RULES,
        subscribing::RULES,
        order::RULES,
        batches::RULES,
        replay::RULES,
        ending::RULES,
    ];
    parts.into_iter().flatten()
}

/// Runs every rule against providers that `make` makes: each a new one, to which nothing has been
/// published.
///
/// It takes a second or two. Wrong answers are found at once; what does not come costs the
/// [patience](Capabilities::patience).
///
/// # Panics
/// If `capabilities` contradict themselves, or the system gives no threads.
pub fn run<P: Provider>(
    capabilities: &Capabilities,
    make: impl Fn() -> P + Send + Sync + 'static,
) -> Report {
    if let Some(replay) = capabilities.replay {
        assert!(replay.remembers >= 2, "a history of {} is none", replay.remembers);
        assert!(replay.forgets >= replay.remembers, "{replay:?} forgets what it remembers");
    }
    let make: Make = Arc::new(move || Arc::new(make()));
    let runtime = Background::start();
    let findings = rules().map(|rule| Finding {
        rule: rule.name,
        text: rule.text,
        outcome: outcome(rule, capabilities, &make, &runtime.handle),
    });
    Report { findings: findings.collect() }
}

fn outcome(rule: &Rule, capabilities: &Capabilities, make: &Make, runtime: &Handle) -> Outcome {
    match lacks(rule.needs, capabilities, make, runtime) {
        Ok(None) => check(rule.check, capabilities, make, runtime),
        Ok(Some(capability)) => Outcome::Skipped(capability),
        Err(payload) => Outcome::Failed(format!("making it panicked: {}", panic_text(&*payload))),
    }
}

/// What the rule needs and the provider has not.
fn lacks(
    need: Need,
    capabilities: &Capabilities,
    make: &Make,
    runtime: &Handle,
) -> thread::Result<Option<&'static str>> {
    let (has, what) = match need {
        Need::Nothing => return Ok(None),
        Need::Batches => (capabilities.batches, "it publishes no batches"),
        Need::NoBatches => (!capabilities.batches, "it publishes batches"),
        Need::Counts => (capabilities.counts, "it does not count subscribers"),
        Need::Replay => (capabilities.replay.is_some(), "it replays nothing"),
        Need::Log => {
            let (make, runtime) = (Arc::clone(make), runtime.clone());
            let made = thread::spawn(move || {
                let _entered = runtime.enter();
                make().local().is_some()
            });
            (made.join()?, "it has no Log")
        }
    };
    Ok((!has).then_some(what))
}

fn check(
    rule: fn(&Subject) -> Result<(), Fault>,
    capabilities: &Capabilities,
    make: &Make,
    runtime: &Handle,
) -> Outcome {
    let (capabilities, make, runtime) = (capabilities.clone(), Arc::clone(make), runtime.clone());
    let patience = capabilities.patience;
    let calls = Arc::default();
    let watched = Arc::clone(&calls);
    let (done, finished) = mpsc::channel();
    let thread = thread::spawn(move || {
        let _entered = runtime.enter();
        let subject = Subject::new(make, capabilities, runtime.clone(), calls);
        let result = rule(&subject);
        drop(subject);
        // Its last word; if it has been given up by now, nobody listens.
        let _ = done.send(result);
    });
    let mut seen = 0;
    let mut quiet = 0;
    loop {
        match finished.recv_timeout(patience / 2) {
            Ok(Ok(())) => return Outcome::Passed,
            Ok(Err(fault)) => return Outcome::Failed(fault.to_string()),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let payload = thread.join().expect_err("a rule says how it went, or panics");
                return Outcome::Failed(format!("it panicked: {}", panic_text(&*payload)));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        quiet = if watched.completed() == seen { quiet + 1 } else { 0 };
        seen = watched.completed();
        // A reader loses its patience first, and says for what.
        if quiet == 4 {
            return Outcome::Failed(format!("it hangs in {watched}"));
        }
    }
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

/// A runtime that runs for as long as this lives, so that timers and a provider's tasks do.
struct Background {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl Background {
    fn start() -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("the system gives what a runtime needs");
        let handle = runtime.handle().clone();
        // Its end is that of the sender.
        thread::spawn(move || runtime.block_on(stopped));
        Self { handle, _stop: stop }
    }
}
