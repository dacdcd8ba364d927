//! A run as its coordinator sees it: the server, the workers, the publisher, and what they have told.
//!
//! A scenario plays on a [`Session`]: it connects members, publishes, waits, and ends parts, and the
//! session makes one report out of it. Order matters: the limit on open files is raised before a server is
//! started, which inherits it; the server is started before this process pins itself, which the workers
//! inherit; the figures are taken before the connections are ended.

mod args;
mod book;
mod document;
mod fleet;
mod honesty;
mod publishing;
mod start;
mod wait;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, SystemTime};

pub(crate) use self::args::LoadArgs;
use self::book::Book;
pub(crate) use self::book::Part;
use self::fleet::Fleet;
use self::publishing::Publishing;
use crate::clock::Clock;
use crate::publisher::Outcome;
use crate::report::{Phase, Progress, Report, ScenarioResult};
use crate::server::{Sample, Sampler, ServerProcess, Usage, kernel_bytes};
use crate::target::Target;
use crate::worker::{Command, Connect, Faults, Resume, Seen, Setup, Standing, Tally, of_topic};

/// After the last delivery, for duplicates that follow it.
const SETTLE: Duration = Duration::from_millis(100);
/// How long a worker may take to do what it is told.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// From a command to the time it is for: all workers have read it by then.
const LEAD_NS: u64 = 20_000_000;
const HEAR_WITHIN: Duration = Duration::from_millis(10);

/// What a scenario wants.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) scenario: &'static str,
    /// Messages per second; nothing: nothing is published.
    pub(crate) rate: Option<f64>,
    /// How long it will be.
    pub(crate) expected: Duration,
    /// Members that will read slowly, and that come and go.
    pub(crate) slow: Range<u32>,
    pub(crate) passing: Range<u32>,
}

impl Plan {
    /// A scenario in which all members are alike.
    pub(crate) fn new(scenario: &'static str, rate: Option<f64>, expected: Duration) -> Self {
        Self { scenario, rate, expected, slow: 0..0, passing: 0..0 }
    }
}

/// A run under way.
#[derive(Debug)]
pub(crate) struct Session {
    load: LoadArgs,
    plan: Plan,
    clock: Clock,
    began: SystemTime,
    url: String,
    target: Target,
    setup: Setup,
    server: Option<ServerProcess>,
    pids: Vec<u32>,
    sampler: Option<Sampler>,
    fleet: Fleet,
    /// What receives and why, of each worker that is ready.
    runtimes: Vec<(String, String)>,
    publishing: Option<Publishing>,
    /// What was written by the segments that are over.
    published: u64,
    /// When the first message was due.
    first_due_ns: Option<u64>,
    book: Book,
    standing: Vec<Standing>,
    flushed: usize,
    first: Vec<Option<Seen>>,
    heard_first: usize,
    closed: BTreeMap<usize, Faults>,
    progress: Progress,
    next_slice_ns: u64,
    /// What the server had used before the first connection, and when all stood.
    usage_start: Usage,
    usage_ready: Option<Usage>,
    /// All have stood: what was counted since then is what is measured.
    has_stood: bool,
    told_to_expect: Option<u64>,
    kernel_start: u64,
    kernel_ready: u64,
    /// What was counted while connecting, and since.
    connecting: Part,
    whole: Part,
    phases: Vec<Phase>,
    /// What is being done, for whoever looks on.
    stage: Option<String>,
}

impl Session {
    /// Connects all members as fast as is allowed, and waits until all stand.
    ///
    /// # Errors
    /// In words, when some never do.
    pub(crate) fn connect_all(&mut self) -> Result<(), String> {
        let all = self.all();
        self.connect(self.order(all.clone()))?;
        self.await_up(all.end)?;
        self.all_stand()
    }

    /// What connecting has taken is told; from now on is measured.
    pub(crate) fn all_stand(&mut self) -> Result<(), String> {
        self.note_usage()?;
        self.connecting = self.turn()?;
        self.has_stood = true;
        self.whole = Part { from_ns: self.now_ns(), ..Part::default() };
        Ok(())
    }

    /// What the server holds now is what its subscribers cost.
    pub(crate) fn note_usage(&mut self) -> Result<(), String> {
        self.usage_ready = Some(Usage::read(&self.pids)?);
        self.kernel_ready = kernel_bytes();
        Ok(())
    }

    /// So many deliveries are to come, where that does not follow from what is published.
    pub(crate) fn expect(&mut self, deliveries: u64) {
        self.told_to_expect = Some(deliveries);
    }

    /// All members.
    pub(crate) fn all(&self) -> Range<u32> {
        0..self.load.subscribers
    }

    /// An order to connect `members` from now on, as fast as is allowed.
    pub(crate) fn order(&self, members: Range<u32>) -> Connect {
        Connect {
            members,
            start_ns: self.now_ns() + LEAD_NS,
            per_second: None,
            resume: Resume::Nothing,
            since_ns: None,
            caught_up: None,
        }
    }

    /// Connects.
    pub(crate) fn connect(&mut self, order: Connect) -> Result<(), String> {
        self.fleet.tell(&Command::Connect(order))
    }

    /// Resets the connections of `members`. Returns when that was.
    pub(crate) fn kill(&mut self, members: Range<u32>) -> Result<u64, String> {
        let now_ns = self.now_ns();
        self.fleet.tell(&Command::Kill(members))?;
        Ok(now_ns)
    }

    /// From now on `members` read so slowly.
    pub(crate) fn throttle(
        &mut self,
        members: Range<u32>,
        bytes_per_second: u64,
    ) -> Result<(), String> {
        self.fleet.tell(&Command::Throttle { members, bytes_per_second })
    }

    /// Begins to publish; it goes on beside what else is done.
    ///
    /// # Errors
    /// In words, when there is nowhere to publish.
    pub(crate) fn begin_publishing(&mut self, rate: f64, time: Duration) -> Result<(), String> {
        self.begin_messages(rate, ((rate * time.as_secs_f64()).round() as u64).max(1))
    }

    /// Begins to publish so many messages.
    ///
    /// # Errors
    /// In words, when there is nowhere to publish.
    pub(crate) fn begin_messages(&mut self, rate: f64, messages: u64) -> Result<(), String> {
        let publishing = self.publishing.as_ref().ok_or(NOWHERE_TO_PUBLISH)?;
        publishing.order(rate, messages)
    }

    /// Waits until all that was ordered is published. What came of it.
    pub(crate) fn end_publishing(&mut self) -> Result<Outcome, String> {
        loop {
            let publishing = self.publishing.as_ref().ok_or(NOWHERE_TO_PUBLISH)?;
            if let Some(outcome) = publishing.outcome()? {
                self.published += outcome.published;
                self.first_due_ns.get_or_insert(outcome.start_ns);
                return Ok(outcome);
            }
            self.hear(HEAR_WITHIN)?;
        }
    }

    /// The first message that was seen of each topic.
    ///
    /// # Errors
    /// In words, when none was seen of some, or the server gave it no id.
    pub(crate) fn first_seen(&mut self) -> Result<Vec<Seen>, String> {
        self.first = vec![None; self.setup.topics.len()];
        self.heard_first = 0;
        self.fleet.tell(&Command::TellFirst)?;
        let workers = self.fleet.len();
        self.await_that(ANSWER_WITHIN, "telling", |session| session.heard_first == workers)?;
        let seen: Option<Vec<Seen>> = self.first.iter().cloned().collect();
        seen.filter(|seen| seen.iter().all(|seen| !seen.id.is_empty()))
            .ok_or_else(|| "there is nothing to come back to: no event had an id".to_owned())
    }

    /// Ends the part that is under way: all that was counted in it.
    pub(crate) fn turn(&mut self) -> Result<Part, String> {
        self.flushed = 0;
        self.fleet.tell(&Command::Flush)?;
        let workers = self.fleet.len();
        self.await_that(ANSWER_WITHIN, "flushing", |session| session.flushed == workers)?;
        let now_ns = self.now_ns();
        let part = self.book.turn(now_ns);
        self.whole.join(&part);
        Ok(part)
    }

    /// Adds a phase to the report.
    pub(crate) fn note_phase(&mut self, phase: Phase) {
        self.phases.push(phase);
    }

    /// Says what is being done, while it is.
    pub(crate) fn stage(&mut self, stage: impl Into<String>) {
        self.stage = Some(stage.into());
    }

    /// Deliveries that these messages make, to members that are audited to the end.
    pub(crate) fn expected(&self, messages: Range<u64>) -> u64 {
        let topics = self.setup.topics.len() as u64;
        let (all, slow, passing) = (self.all(), &self.plan.slow, &self.plan.passing);
        let count = |range: Range<u64>, topic| {
            of_topic(range.end, topic, topics) - of_topic(range.start, topic, topics)
        };
        let members =
            |range: &Range<u32>, topic| count(range.start.into()..range.end.into(), topic);
        let audience =
            |topic| members(&all, topic) - members(slow, topic) - members(passing, topic);
        (0..topics).map(|topic| count(messages.clone(), topic) * audience(topic)).sum()
    }

    /// Messages that were published in the segments that are over.
    pub(crate) fn published(&self) -> u64 {
        self.published
    }

    /// Now, on the run's clock.
    pub(crate) fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    /// How all members stand.
    pub(crate) fn stands(&self) -> Standing {
        let mut all = Standing::default();
        for standing in &self.standing {
            all += *standing;
        }
        all
    }

    /// What the server has used so far; `None`: it is not known.
    pub(crate) fn server_usage(&self) -> Option<Usage> {
        Usage::read(&self.pids).ok().filter(|_| !self.pids.is_empty())
    }

    /// Ends the run: the publisher is waited for, the books are closed, the report is made.
    ///
    /// # Errors
    /// In words, when a worker cannot close its books.
    pub(crate) fn finish(
        mut self,
        result: impl FnOnce(&Self, &Totals) -> Option<ScenarioResult>,
    ) -> Result<Report, String> {
        let usage_end = self.server_usage();
        self.turn()?;
        let unanswered = self.stands().pending;
        self.pass(SETTLE)?;
        let outcome = self.publishing.take().map(Publishing::finish).transpose()?;
        let published = outcome.as_ref().map_or(0, |outcome| outcome.published);
        self.fleet.tell(&Command::Finish { published })?;
        let workers = self.fleet.len();
        self.await_that(ANSWER_WITHIN, "closing", |session| session.closed.len() == workers)?;
        let now_ns = self.now_ns();
        let last = self.book.turn(now_ns);
        self.whole.join(&last);
        self.progress.finish();
        let samples = self.sampler.take().map(Sampler::finish).unwrap_or_default();
        let mut faults = Faults::default();
        for closed in self.closed.values() {
            faults += *closed;
        }
        faults.late = self.connecting.tally.late + self.whole.tally.late;
        if self.load.blind {
            // Nothing was looked at: nothing can be said to be missing.
            faults = Faults::default();
        }
        let totals = Totals { outcome, unanswered, faults, samples, usage_end };
        let result = result(&self, &totals);
        document::write(self, totals, result)
    }

    /// What was counted since all stood.
    pub(crate) fn measured(&self) -> &Tally {
        &self.whole.tally
    }
}

/// What is known at the end.
#[derive(Debug)]
pub(crate) struct Totals {
    /// What was published, if anything was to be.
    pub(crate) outcome: Option<Outcome>,
    /// Connections that were in the making when all was over.
    pub(crate) unanswered: u32,
    pub(crate) faults: Faults,
    /// The server over time.
    pub(crate) samples: Vec<Sample>,
    /// What the server had used at the end of what was measured.
    pub(crate) usage_end: Option<Usage>,
}

const NOWHERE_TO_PUBLISH: &str =
    "it is not known where to publish: give --publish-url, or --rate 0 where a scenario allows it";
