//! A core: one thread, its sockets, and its way through the Log.
//!
//! The logic here waits for nothing and knows no clock (I10): a turn takes what has happened and
//! the time, makes one slice of each kind of work, and says when it wants the next. Between two
//! slices of a fan-out pass it accepts, receives and catches up, so none of these waits for a whole
//! pass. Its parts: `intake` (accept to subscription), `fan_out` (live), `catch_up` (lagging).

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{
    admission::{Admission, Answers, Asked, HandedOver},
    catch_up::CatchUp,
    commands::Commands,
    connection::{Connection, EndReason, Prelude},
    counters::{CoreCounters, Discard},
    drain::Drain,
    driver::{Driver, Event, Send, Sent, Socket, Sockets, Watch},
    end_lines::EndLines,
    fan_out::{Pass, Slice},
    group::{Group, GroupId, Groups},
    inspect::Inquiry,
    lease::Leases,
    rest::Rest,
    round::Round,
    spin::Spin,
    timers::Timers,
    tuning::{SharedTuning, Tuning},
};
use crate::{
    limits::{HEAD_BYTES_MAX, Limits},
    log::{Cursor, Segment, Sequence, Topic},
    provider::{LocalProvider, Reader},
};

/// What a core shares with the rest of the process.
#[derive(Clone, Debug)]
pub(super) struct CoreContext {
    /// Which core it is.
    pub(super) number: u32,
    pub(super) provider: LocalProvider,
    pub(super) reader: Arc<Reader>,
    pub(super) admission: Arc<dyn Admission>,
    pub(super) hand_over: mpsc::Sender<HandedOver>,
    pub(super) questions: mpsc::Sender<Asked>,
    pub(super) counters: Arc<CoreCounters>,
    pub(super) commands: Arc<Commands>,
    pub(super) connections_max: usize,
    pub(super) age_max: Option<Duration>,
    pub(super) tuning: SharedTuning,
}

/// What others may tell a core.
#[derive(Debug)]
pub(super) enum Command {
    /// Accept no more, give everyone what they are owed, and end them over this time.
    Drain { over: Duration },
    /// Answer.
    Inquire(Inquiry),
    /// Go on with the tuning that is in force now.
    Retune,
}

/// One core.
#[derive(Debug)]
pub(super) struct Core<D> {
    pub(super) driver: D,
    pub(super) context: CoreContext,
    pub(super) connections: Sockets<Connection>,
    pub(super) groups: Groups,
    pub(super) catch_up: CatchUp,
    pub(super) pass: Pass,
    rest: Rest,
    /// What was asked and has been answered.
    pub(super) answers: Answers,
    pub(super) leases: Leases,
    pub(super) heartbeat: Round,
    pub(super) ages: Round,
    /// The limits in force when the core last looked.
    pub(super) limits: Limits,
    /// When it first had a connection.
    pub(super) began: Option<Instant>,
    /// Everything before it has been sent to every live connection.
    pub(super) position: Sequence,
    /// The head when the core was last notified: it works until it is there.
    wanted: Sequence,
    /// The segment that holds the position, looked up once per segment.
    segment: Option<Segment>,
    pub(super) timers: Timers,
    pub(super) accept_retry: AcceptRetry,
    /// Set while draining.
    pub(super) drain: Option<Drain>,
    end_lines: EndLines,
    pub(super) buffer: Vec<u8>,
    /// What has happened and is not looked at yet; a socket has at most one of each kind here.
    events: VecDeque<Event>,
    /// The first so many of these had happened at that time.
    unknown: Option<(usize, Instant)>,
    sent: Vec<Sent>,
    slice: Slice,
}

/// When to try accepting again after it failed.
#[derive(Debug, Default)]
pub(super) struct AcceptRetry {
    pub(super) at: Option<Instant>,
    pub(super) delay: Duration,
}

/// What a turn leaves to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// More: take the next turn at once.
    Busy,
    /// Only a pass, which is put off until then; nobody needs to wake the core for it.
    Resting(Instant),
    /// Nothing until something happens, or until then.
    Idle(Option<Instant>),
    /// The core has drained.
    Done,
}

/// How long to sleep at most; none is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sleep(pub(super) Option<Duration>);

impl<D: Driver> Core<D> {
    pub(super) fn new(mut driver: D, context: CoreContext) -> Self {
        driver.accept();
        let Tuning { limits, heartbeat } = context.tuning.get();
        let ages = Round::every(context.age_max.map(|age| age / AGE_ROUNDS));
        let position = context.provider.log().head();
        Self {
            groups: Groups::new(context.reader.id()),
            driver,
            context,
            connections: Sockets::new(),
            catch_up: CatchUp::default(),
            pass: Pass::default(),
            rest: Rest::default(),
            answers: Answers::default(),
            leases: Leases::default(),
            heartbeat: Round::every(heartbeat),
            ages,
            limits,
            began: None,
            position,
            wanted: position,
            segment: None,
            timers: Timers::default(),
            accept_retry: AcceptRetry::default(),
            drain: None,
            end_lines: EndLines::default(),
            buffer: vec![0; HEAD_BYTES_MAX],
            events: VecDeque::new(),
            unknown: None,
            sent: Vec::new(),
            slice: Slice::default(),
        }
    }

    /// Runs until it has drained. The one place that reads the clock.
    pub(super) fn run(mut self) -> std::io::Result<()> {
        let mut spin = Spin::default();
        loop {
            let now = Instant::now();
            let turn = self.turn(now);
            let is_idle = matches!(turn, Turn::Idle(_));
            if is_idle && spin.until_notified(&self.context.reader.signal, Instant::now) {
                // However often it is notified, it hears of connections too.
                self.sleep(Sleep(Some(Duration::ZERO)))?;
                continue;
            }
            let Some(sleep) = self.sleep_after(turn, now) else { return Ok(()) };
            let asleep = Instant::now();
            self.sleep(sleep)?;
            if is_idle {
                spin.slept(asleep.elapsed(), self.context.reader.signal.is_notified());
            }
        }
    }

    /// A turn, and how long to sleep after it. None: the core has drained.
    #[cfg(test)]
    pub(super) fn work(&mut self, now: Instant) -> Option<Sleep> {
        let turn = self.turn(now);
        self.sleep_after(turn, now)
    }

    fn sleep_after(&self, turn: Turn, now: Instant) -> Option<Sleep> {
        let sleep = match turn {
            Turn::Done => return None,
            Turn::Busy => Some(Duration::ZERO),
            Turn::Resting(until) => Some(until.saturating_duration_since(now)),
            Turn::Idle(until) if self.context.reader.signal.park() => {
                self.context.counters.parks.add(1);
                until.map(|until| until.saturating_duration_since(now))
            }
            Turn::Idle(_) => Some(Duration::ZERO),
        };
        Some(Sleep(sleep))
    }

    /// Sleeps until something happens, and at most so long.
    pub(super) fn sleep(&mut self, Sleep(timeout): Sleep) -> std::io::Result<()> {
        self.driver.wait(timeout, &mut self.events)?;
        self.context.reader.signal.unpark();
        Ok(())
    }

    /// One slice of everything there is to do.
    pub(super) fn turn(&mut self, now: Instant) -> Turn {
        if let Some(left_out) = self.end_lines.look_at(now) {
            tracing::debug!(left_out, "more connections ended");
        }
        let known = self.take_events(now);
        self.take_commands(now);
        self.take_answers(now);
        if let Some(known) = known {
            self.expire(known);
        }
        if self.context.reader.signal.take() {
            self.go_to_head();
        }
        self.beat(now);
        self.end_aged(now);
        self.fan_out(now);
        self.catch_up(now);
        self.drain(now);
        self.context.reader.report_progress(self.progress(now));
        self.next_turn(now)
    }

    /// Tells what has happened, as a wait does.
    #[cfg(test)]
    pub(super) fn happen(&mut self, event: Event) {
        self.events.push_back(event);
    }

    fn next_turn(&self, now: Instant) -> Turn {
        if self.drain.is_some() && self.connections.len() == 0 {
            return Turn::Done;
        }
        let has_work = self.pass.end().is_some()
            || self.rest.needs_the_time()
            || self.catch_up.has_ready()
            || self.timers.has_due(now)
            || self.leases.over(now).is_some()
            || !self.events.is_empty()
            || !self.answers.is_empty()
            || !self.context.commands.is_empty();
        let soonest = [
            self.timers.next(),
            self.leases.next(),
            self.accept_retry.at,
            self.heartbeat.next(),
            self.ages.next(),
            self.end_lines.next(),
            self.drain.map(|drain| drain.next(now)),
        ];
        let soonest = soonest.into_iter().flatten().min();
        match self.rest.until(now) {
            _ if has_work => Turn::Busy,
            _ if self.position >= self.wanted => Turn::Idle(soonest),
            Some(rested) => Turn::Resting(soonest.map_or(rested, |soonest| soonest.min(rested))),
            None => Turn::Busy,
        }
    }

    /// Looks at some of what has happened. Gives the time up to which everything is known now, if that
    /// is a new one: a deadline counts only up to there. A process that was stopped for longer would
    /// otherwise cut those whose events it has not come to.
    fn take_events(&mut self, now: Instant) -> Option<Instant> {
        let (unknown, at) = self.unknown.take().unwrap_or((self.events.len(), now));
        let count = self.events.len().min(EVENTS_PER_TURN);
        for _ in 0..count {
            match self.events.pop_front().expect("there are so many") {
                Event::Accepted(socket) => self.accepted(socket, now),
                Event::AcceptFailed(error) => self.accept_failed(&error, now),
                Event::Ready(socket, Watch::Readable) => self.readable(socket, now),
                Event::Ready(socket, Watch::Writable) => self.writable(socket),
                Event::Ready(socket, Watch::Leave) => self.leaves(socket, now),
            }
        }
        if count < unknown {
            self.unknown = Some((unknown - count, at));
            return None;
        }
        Some(at)
    }

    fn take_commands(&mut self, now: Instant) {
        let mut is_told = false;
        while let Some(command) = self.context.commands.pop() {
            is_told = true;
            match command {
                Command::Drain { over } => self.begin_drain(over, now),
                Command::Inquire(inquiry) => self.answer(inquiry, now),
                Command::Retune => {}
            }
        }
        // Whatever it was: where it filled the queue, a `Retune` had no room.
        if is_told {
            self.retune();
        }
    }

    fn retune(&mut self) {
        let Tuning { limits, heartbeat } = self.context.tuning.get();
        self.limits = limits;
        if heartbeat != self.heartbeat.interval() {
            self.heartbeat.change(heartbeat);
        }
    }

    fn expire(&mut self, now: Instant) {
        if self.accept_retry.at.is_some_and(|at| at <= now) {
            self.accept_retry.at = None;
            self.driver.accept();
        }
        for _ in 0..EVENTS_PER_TURN {
            let Some(socket) = self.leases.over(now) else { break };
            self.end_in_order(socket, EndReason::Expired);
        }
        for _ in 0..EVENTS_PER_TURN {
            let Some(socket) = self.timers.pop_due(now) else { return };
            match self.connections.get_mut(socket) {
                Some(Connection::Reading(_)) => self.end(socket, EndReason::HeadDeadline),
                Some(Connection::Refused { .. }) => self.end(socket, EndReason::Refused),
                Some(Connection::Asking(asking)) => asking.has_timer = false,
                Some(Connection::Lagging(_)) => self.check_stall(socket, now),
                Some(Connection::Live { has_timer, .. }) => *has_timer = false,
                None => {}
            }
        }
    }

    /// The peer sends no more. Whoever was refused may have sent something that is still to be read.
    fn leaves(&mut self, socket: Socket, now: Instant) {
        match self.connections.get(socket) {
            Some(Connection::Refused { .. }) => self.readable(socket, now),
            _ => self.end(socket, EndReason::Left),
        }
    }

    /// Works from now on until the core's position is where the head is now.
    pub(super) fn go_to_head(&mut self) {
        self.wanted = self.context.provider.log().head();
    }

    fn fan_out(&mut self, now: Instant) {
        if self.pass.end().is_none() && !self.begin_pass(now) {
            return;
        }
        self.send_slice(now);
        if self.pass.is_over() {
            self.rest.pass_ends(self.pass.frames_max());
            self.position = self.pass.end().expect("a pass is running");
            self.pass.finish();
            if let Some(since) = self.context.reader.stopwatch.stop(self.position) {
                let now = self.context.provider.now();
                self.context.counters.written.add(now.saturating_sub(since));
            }
            self.admit_caught_up();
        }
    }

    fn begin_pass(&mut self, now: Instant) -> bool {
        self.rest.look_at(now);
        if self.position >= self.wanted || self.rest.until(now).is_some() {
            return false;
        }
        if self.groups.is_empty() {
            self.position = self.wanted;
            self.segment = None;
            // Nobody was there to write it to.
            let _ = self.context.reader.stopwatch.stop(self.position);
            return false;
        }
        let segment = self.segment.take().filter(|segment| segment.end() > self.position);
        let Some(segment) = segment.or_else(|| self.context.provider.log().segment(self.position))
        else {
            self.skip_retired(now);
            return false;
        };
        self.segment = Some(segment.clone());
        self.pass.plan(&mut self.groups, segment, self.position, self.wanted, now);
        self.context.counters.passes.add(1);
        self.context.counters.offered.add(self.pass.offered_to_lagging());
        self.rest.pass_begins(now);
        true
    }

    /// The Log has overtaken the core, and with it the members that lost something. It goes on.
    fn skip_retired(&mut self, now: Instant) {
        // The tail first: what goes while others are ended is not skipped, but found by the next pass.
        let tail = self.context.provider.log().tail();
        let skipped = self.position..tail;
        // Indexes shrink after the tail moves, so what is lost is in them still, or gone by then.
        let has_lost = |topic: &Arc<Topic>| {
            topic.has_any(skipped.clone()) || topic.complete_from() > skipped.start
        };
        let lost = |group: &&Group| group.topics.iter().any(has_lost);
        let losers: Vec<Socket> =
            self.groups.iter().filter(lost).flat_map(|group| group.live().to_vec()).collect();
        for socket in losers {
            self.live_overtaken(socket, now);
        }
        self.position = tail.max(self.position);
        self.admit_caught_up();
    }

    fn send_slice(&mut self, now: Instant) {
        let mut pass = std::mem::take(&mut self.pass);
        let mut slice = std::mem::take(&mut self.slice);
        let mut sent = std::mem::take(&mut self.sent);
        let connections = &self.connections;
        let is_live = |socket| matches!(connections.get(socket), Some(Connection::Live { .. }));
        pass.choose(is_live, &mut slice);
        let sends: Vec<Send<'_>> = pass.sends(&slice).map(|(send, _)| send).collect();
        self.driver.send(&sends, &mut sent);
        self.context.counters.sends.add(sends.len());

        let (mut bytes, mut offered, mut written, mut discarded) = (0, 0, 0, 0);
        for ((send, run), outcome) in pass.sends(&slice).zip(sent.drain(..)) {
            let frames = pass.frames_in(run);
            offered += frames;
            match outcome {
                Sent::Bytes(count) if count == send.bytes.len() => {
                    bytes += count;
                    written += frames;
                }
                Sent::Bytes(count) => {
                    let (mut cursor, complete) = pass.cursor_after(run, count);
                    bytes += count;
                    written += complete;
                    let mut prelude = Prelude::default();
                    if cursor.offset > 0 && self.may_skip(send.socket) {
                        prelude = Prelude::rest_of_frame(pass.rest_of_frame(run, cursor));
                        cursor = Cursor::at(cursor.sequence.plus(1));
                    }
                    self.fall_behind(send.socket, prelude, cursor, frames - complete, now);
                }
                Sent::Broken => {
                    discarded += frames;
                    self.end(send.socket, EndReason::Left);
                }
            }
        }
        let counters = &self.context.counters;
        counters.bytes_sent.add(bytes);
        counters.offered.add(offered);
        counters.written_messages.add(written);
        counters.discarded(Discard::Ended).add(discarded);
        pass.advance(&slice);
        (self.pass, self.slice, self.sent) = (pass, slice, sent);
    }

    /// Sends to one socket without waiting.
    pub(super) fn send_one(&mut self, socket: Socket, bytes: &[u8]) -> Sent {
        let mut sent = std::mem::take(&mut self.sent);
        self.driver.send(&[Send { socket, bytes }], &mut sent);
        let outcome = sent.pop().expect("one outcome for one send");
        self.sent = sent;
        self.context.counters.sends.add(1);
        if let Sent::Bytes(count) = outcome {
            self.context.counters.bytes_sent.add(count);
        }
        outcome
    }

    /// Ends a connection in whatever state it is. The one place where a connection ends.
    pub(super) fn end(&mut self, socket: Socket, reason: EndReason) {
        let why = match reason {
            EndReason::Shutdown => Discard::Shutdown,
            _ => Discard::Ended,
        };
        self.discard_owed(socket, why);
        let Some(connection) = self.forget(socket) else { return };
        self.context.counters.ends(reason).add(1);
        if tracing::enabled!(tracing::Level::DEBUG) && self.end_lines.may_tell() {
            tracing::debug!(
                slot = socket.slot,
                reason = reason.name(),
                ?connection,
                "connection ended"
            );
        }
        self.driver.close(socket);
    }

    /// Takes a connection out of every table here; the driver still has its socket.
    pub(super) fn forget(&mut self, socket: Socket) -> Option<Connection> {
        let connection = self.connections.close(socket)?;
        self.leases.give_back(socket);
        match &connection {
            Connection::Live { group, member, .. } => {
                self.remove_live(*group, *member);
                self.unsubscribe(*group);
            }
            Connection::Lagging(lagging) => {
                self.forget_lagging(socket, lagging);
                self.unsubscribe(lagging.group);
            }
            Connection::Reading(_) | Connection::Asking(_) | Connection::Refused { .. } => {}
        }
        Some(connection)
    }

    fn unsubscribe(&mut self, group: GroupId) {
        self.context.provider.leave(&self.groups.get(group).topics);
        self.groups.leave(group);
        let subscribers = &self.context.counters.subscribers;
        subscribers.set(subscribers.get() - 1);
    }

    /// Takes a live member out of its group's list, and tells the one that moves into its place.
    pub(super) fn remove_live(&mut self, group: GroupId, member: u32) {
        if let Some(moved) = self.groups.remove_live(group, member)
            && let Some(Connection::Live { member: place, .. }) = self.connections.get_mut(moved)
        {
            *place = member;
        }
    }

    /// Whether something that was published is still to be sent to the live connections.
    pub(super) fn is_owed(&self) -> bool {
        self.pass.end().is_some() || self.position < self.wanted
    }

    pub(super) fn stop_accepting(&mut self) {
        self.driver.stop_accepting();
        self.accept_retry = AcceptRetry::default();
    }

    /// How far the subscribers are that a publisher may wait for: the core's position, or the
    /// median of the lagging if they are the most and still read.
    fn progress(&self, now: Instant) -> Sequence {
        let subscribers = self.context.counters.subscribers.get() as usize;
        self.catch_up
            .median_of_most(subscribers, |socket| {
                let Some(Connection::Lagging(lagging)) = self.connections.get(socket) else {
                    return None;
                };
                let reads = now.saturating_duration_since(lagging.progress_at) < READS_WITHIN;
                reads.then_some(lagging.cursor)
            })
            .map_or(self.position, |cursor: Cursor| cursor.sequence.min(self.position))
    }
}

/// Events handled in a turn, so that a storm of connections does not hold up the fan-out: each costs
/// up to some 20 µs. As with the other amounts of a turn, tests have so little that few sockets reach it.
pub(super) const EVENTS_PER_TURN: usize = if cfg!(test) { 4 } else { 64 };

/// How often a connection's age is looked at while it grows old.
const AGE_ROUNDS: u32 = 50;

/// A lagging connection that took no byte for this long is one that publishers don't wait for.
const READS_WITHIN: Duration = Duration::from_secs(1);
