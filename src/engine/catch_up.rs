//! Lagging connections: each has its own cursor, and becomes live where it meets the core.
//!
//! A new subscriber starts here too, so replay and live have no seam where a message could be lost
//! or come twice. While a pass runs, a lagging connection reads up to the pass's end, not further;
//! when the pass is over and the core's position is there, whoever stands exactly at it is live.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Instant,
};

use super::{
    connection::{Connection, EndReason, Lagging, Pace, Prelude},
    core::Core,
    driver::{Driver, Sent, Socket, Watch},
    group::{GroupId, Manner},
    intake::framed,
    owed::Owed,
};
use crate::{
    limits,
    log::{Cursor, Run, Sequence, Wanted},
    provider::{LagPolicy, Start},
};

/// Lagging connections served between two slices of a fan-out pass, of those that need little.
const CATCH_UPS_PER_SLICE: usize = if cfg!(test) { 4 } else { 64 };

/// Lagging connections looked at to find the median.
const SAMPLES_MAX: usize = 32;

/// Who lags, and what they wait for.
#[derive(Debug, Default)]
pub(super) struct CatchUp {
    /// Whose turn it is; those that have ended meanwhile are skipped.
    ready: VecDeque<Socket>,
    /// Those that wait for the core to come to their cursor, nearest first.
    ahead: BTreeSet<(Sequence, u32, u32)>,
    /// All of them, dense.
    lagging: Vec<Socket>,
    run: Run,
}

/// What a lagging connection's next step is.
enum Step {
    /// It has done one, and has another.
    Again,
    /// It has no room.
    Blocked,
    /// It has had everything up to the core's position, or the end of its pass.
    CaughtUp,
    /// It is over.
    End(EndReason),
}

impl CatchUp {
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The median cursor of the lagging if they are more than half of `subscribers`, from samples
    /// for which `cursor` gives one.
    pub(super) fn median_of_most(
        &self,
        subscribers: usize,
        cursor: impl Fn(Socket) -> Option<Cursor>,
    ) -> Option<Cursor> {
        if self.lagging.len() * 2 <= subscribers {
            return None;
        }
        let stride = self.lagging.len().div_ceil(SAMPLES_MAX);
        let mut samples: Vec<Cursor> =
            self.lagging.iter().step_by(stride).filter_map(|&socket| cursor(socket)).collect();
        samples.sort_unstable();
        samples.get(samples.len() / 2).copied()
    }
}

impl<D: Driver> Core<D> {
    /// Begins a subscription: it lags by its response head, and by what it is to be replayed.
    pub(super) fn subscribe_lagging(
        &mut self,
        socket: Socket,
        group: GroupId,
        prelude: Prelude,
        start: &Start,
        now: Instant,
    ) {
        let since = self.seconds(now);
        let lagging = Lagging {
            group,
            since,
            cursor: start.cursor,
            prelude,
            came_at: self.context.provider.log().head(),
            owed: Owed::from(start.cursor.sequence),
            pace: Pace::Ready,
            progress_at: now,
            // That of its head, which is due before it could have stalled.
            has_timer: match self.connections.get(socket) {
                Some(Connection::Asking(asking)) => asking.has_timer,
                _ => true,
            },
            place: self.add_lagging(socket),
        };
        *self.connections.get_mut(socket).expect("it was read") =
            Connection::Lagging(Box::new(lagging));
        self.catch_up.ready.push_back(socket);
    }

    /// A live connection had no room for all that it was sent: it goes on with `prelude`, then at
    /// the cursor. It has had all but `owed` messages of what it was offered.
    pub(super) fn fall_behind(
        &mut self,
        socket: Socket,
        prelude: Prelude,
        cursor: Cursor,
        owed: usize,
        now: Instant,
    ) {
        if self.become_lagging(socket, prelude, cursor, owed, Pace::Blocked, now) {
            self.block(socket);
        }
    }

    /// False: it was not live.
    fn become_lagging(
        &mut self,
        socket: Socket,
        prelude: Prelude,
        cursor: Cursor,
        owed: usize,
        pace: Pace,
        now: Instant,
    ) -> bool {
        let Some(&Connection::Live { group, member, has_timer, since }) =
            self.connections.get(socket)
        else {
            return false;
        };
        self.remove_live(group, member);
        let lagging = Lagging {
            group,
            since,
            cursor,
            prelude,
            came_at: cursor.sequence,
            owed: self.owed_since(group, cursor.sequence, owed),
            pace,
            progress_at: now,
            has_timer,
            place: self.add_lagging(socket),
        };
        *self.connections.get_mut(socket).expect("it was live") =
            Connection::Lagging(Box::new(lagging));
        true
    }

    /// There is room again.
    pub(super) fn writable(&mut self, socket: Socket) {
        if let Some(lagging) = self.lagging(socket)
            && lagging.pace == Pace::Blocked
        {
            lagging.pace = Pace::Ready;
            self.catch_up.ready.push_back(socket);
        }
    }

    /// One slice of catching up.
    pub(super) fn catch_up(&mut self, now: Instant) {
        let budget = self.context.counters.bytes_sent.get() + limits::REPLAY_BYTES_PER_SLICE;
        for _ in 0..CATCH_UPS_PER_SLICE {
            if self.context.counters.bytes_sent.get() >= budget {
                return;
            }
            let Some(socket) = self.catch_up.ready.pop_front() else { return };
            let Some(step) = self.step(socket, now) else { continue };
            match step {
                Step::Again => self.catch_up.ready.push_back(socket),
                Step::Blocked => self.block(socket),
                Step::CaughtUp => self.caught_up(socket),
                Step::End(reason) => self.end(socket, reason),
            }
        }
    }

    /// The core has come to a new position between two passes: those who stand there are live.
    pub(super) fn admit_caught_up(&mut self) {
        let position = self.position;
        while let Some(&(sequence, slot, generation)) = self.catch_up.ahead.first()
            && sequence <= position
        {
            self.catch_up.ahead.pop_first();
            let socket = Socket { slot, generation };
            let Some(lagging) = self.lagging(socket) else { continue };
            lagging.pace = Pace::Ready;
            if lagging.cursor.sequence == position {
                self.become_live(socket);
            } else {
                self.catch_up.ready.push_back(socket);
            }
        }
    }

    /// Its timer is due.
    pub(super) fn check_stall(&mut self, socket: Socket, now: Instant) {
        let deadline = self.limits.write_stall_deadline;
        let Some(lagging) = self.lagging(socket) else { return };
        lagging.has_timer = false;
        if lagging.pace != Pace::Blocked {
            return;
        }
        if lagging.progress_at + deadline <= now {
            self.end(socket, EndReason::Stalled);
        } else {
            self.queue_stall(socket);
        }
    }

    /// Takes a lagging connection out of every list here.
    pub(super) fn forget_lagging(&mut self, socket: Socket, lagging: &Lagging) {
        if lagging.pace == Pace::Ahead {
            let at = self.meets_core_at(lagging);
            self.catch_up.ahead.remove(&(at, socket.slot, socket.generation));
        }
        self.stop_counting(lagging.group, lagging.owed);
        self.remove_lagging(lagging.place);
    }

    fn remove_lagging(&mut self, place: u32) {
        self.catch_up.lagging.swap_remove(place as usize);
        if let Some(&moved) = self.catch_up.lagging.get(place as usize)
            && let Some(Connection::Lagging(moved)) = self.connections.get_mut(moved)
        {
            moved.place = place;
        }
        self.context.counters.lagging.set(self.catch_up.lagging.len() as u64);
    }

    fn add_lagging(&mut self, socket: Socket) -> u32 {
        self.catch_up.lagging.push(socket);
        self.context.counters.lagging.set(self.catch_up.lagging.len() as u64);
        self.catch_up.lagging.len() as u32 - 1
    }

    /// Where a lagging connection reads to at the moment.
    pub(super) fn reads_below(&self) -> Sequence {
        self.pass.end().unwrap_or(self.position)
    }

    /// None: it has ended since it was queued.
    fn step(&mut self, socket: Socket, now: Instant) -> Option<Step> {
        if !self.lagging(socket)?.prelude.bytes.is_empty() {
            return self.send_prelude(socket, now);
        }
        let mut run = std::mem::take(&mut self.catch_up.run);
        let step = self.send_run(socket, &mut run, now);
        run.clear();
        self.catch_up.run = run;
        step
    }

    fn lagging(&mut self, socket: Socket) -> Option<&mut Lagging> {
        match self.connections.get_mut(socket)? {
            Connection::Lagging(lagging) => Some(lagging),
            _ => None,
        }
    }

    fn send_prelude(&mut self, socket: Socket, now: Instant) -> Option<Step> {
        let mut prelude = std::mem::take(&mut self.lagging(socket)?.prelude);
        let sent = self.send_one(socket, &prelude.bytes);
        let Sent::Bytes(count) = sent else { return Some(Step::End(EndReason::Left)) };
        prelude.bytes.drain(..count);
        let is_over = prelude.bytes.is_empty();
        let written = usize::from(is_over && prelude.ends_frame);
        self.context.counters.written_messages.add(written);
        let lagging = self.lagging(socket)?;
        lagging.owed.settle(written);
        if count > 0 {
            lagging.progress_at = now;
        }
        if is_over {
            return Some(Step::Again);
        }
        lagging.prelude = prelude;
        Some(Step::Blocked)
    }

    fn send_run(&mut self, socket: Socket, run: &mut Run, now: Instant) -> Option<Step> {
        let below = self.reads_below();
        self.begin_counting(socket);
        let lagging = self.lagging(socket)?;
        if lagging.cursor.sequence >= below {
            return Some(Step::CaughtUp);
        }
        let (group, cursor, came_at) = (lagging.group, lagging.cursor, lagging.came_at);
        let group = self.groups.get(group);
        let (topics, Manner { framing, lag }) = (&group.topics, group.manner);
        let provider = &self.context.provider;
        let wanted = Wanted { topics, framing, conflated: lag == LagPolicy::Conflate };
        let max = limits::CATCH_UP_BYTES_MAX;
        if provider.lags_too_far(topics, lag, came_at, cursor.sequence)
            || provider.log().read(wanted, cursor, below, max, run).is_err()
        {
            return Some(self.overtaken(socket));
        }
        self.offer(socket, run);
        let sent = match run.bytes() {
            [] => Sent::Bytes(0),
            bytes => self.send_one(socket, bytes),
        };
        let Sent::Bytes(count) = sent else { return Some(Step::End(EndReason::Left)) };
        let written = run.frames_within(count);
        self.context.counters.written_messages.add(written);
        let lagging = self.lagging(socket)?;
        lagging.owed.settle(written);
        lagging.cursor = run.cursor_after(count);
        if lagging.cursor.offset > 0 && lag != LagPolicy::Disconnect {
            lagging.prelude = Prelude::rest_of_frame(run.rest_of_frame(count));
            lagging.cursor = Cursor::at(lagging.cursor.sequence.plus(1));
        }
        if count > 0 {
            lagging.progress_at = now;
        }
        Some(if count < run.bytes().len() { Step::Blocked } else { Step::Again })
    }

    /// A lagging connection is too far behind: it skips, or it ends.
    fn overtaken(&mut self, socket: Socket) -> Step {
        let end = Step::End(EndReason::Overtaken);
        let Some(lagging) = self.lagging(socket) else { return end };
        let (group, next) = (lagging.group, lagging.cursor.sequence);
        let Some((prelude, cursor)) = self.skip(group, next) else { return end };
        self.discard_skipped(socket, cursor.sequence);
        if let Some(lagging) = self.lagging(socket) {
            (lagging.prelude, lagging.cursor) = (prelude, cursor);
            lagging.came_at = cursor.sequence;
        }
        Step::Again
    }

    /// The Log has overtaken the core and this live connection: it skips, or it ends.
    pub(super) fn live_overtaken(&mut self, socket: Socket, now: Instant) {
        let Some(&Connection::Live { group, .. }) = self.connections.get(socket) else { return };
        let Some((prelude, cursor)) = self.skip(group, self.position) else {
            return self.end(socket, EndReason::Overtaken);
        };
        if self.become_lagging(socket, prelude, cursor, 0, Pace::Ready, now) {
            self.catch_up.ready.push_back(socket);
        }
    }

    /// Whether a live connection goes on where it is too far behind. It then keeps the rest of a frame that
    /// it has begun, which may be gone by the time there is room for it.
    pub(super) fn may_skip(&self, socket: Socket) -> bool {
        let Some(&Connection::Live { group, .. }) = self.connections.get(socket) else {
            return false;
        };
        self.groups.get(group).manner.lag != LagPolicy::Disconnect
    }

    /// What a member of the group that has had everything before `next` is told, and where it goes on;
    /// none where it must end.
    fn skip(&self, group: GroupId, next: Sequence) -> Option<(Prelude, Cursor)> {
        let group = self.groups.get(group);
        let Manner { framing, lag } = group.manner;
        let start = self.context.provider.skip(&group.topics, lag, next)?;
        self.context.counters.skips.add(1);
        let gap = start.gap.map(|gap| framed(&gap, framing));
        Some((Prelude::new(gap.unwrap_or_default()), start.cursor))
    }

    fn block(&mut self, socket: Socket) {
        let Some(lagging) = self.lagging(socket) else { return };
        lagging.pace = Pace::Blocked;
        let has_timer = lagging.has_timer;
        self.driver.watch(socket, Watch::Writable);
        if !has_timer {
            self.queue_stall(socket);
        }
    }

    fn queue_stall(&mut self, socket: Socket) {
        let deadline = self.limits.write_stall_deadline;
        let Some(lagging) = self.lagging(socket) else { return };
        lagging.has_timer = true;
        let at = lagging.progress_at + deadline;
        self.timers.add(at, socket);
    }

    fn caught_up(&mut self, socket: Socket) {
        let between_passes = self.pass.end().is_none();
        let position = self.position;
        let Some(Connection::Lagging(lagging)) = self.connections.get(socket) else { return };
        let at = self.meets_core_at(lagging);
        if between_passes && at == position {
            return self.become_live(socket);
        }
        self.catch_up.ahead.insert((at, socket.slot, socket.generation));
        if let Some(lagging) = self.lagging(socket) {
            lagging.pace = Pace::Ahead;
        }
    }

    /// Where the core has to be for a connection that is not behind it: at its cursor, and not where
    /// frames do not name its pattern yet, for there a pass would not find them.
    fn meets_core_at(&self, lagging: &Lagging) -> Sequence {
        lagging.cursor.sequence.max(self.groups.get(lagging.group).named_from)
    }

    fn become_live(&mut self, socket: Socket) {
        let Some(lagging) = self.lagging(socket) else { return };
        let (group, place, since) = (lagging.group, lagging.place, lagging.since);
        let (has_timer, owed) = (lagging.has_timer, lagging.owed);
        self.discard_left_out(socket);
        self.stop_counting(group, owed);
        self.remove_lagging(place);
        let member = self.groups.add_live(group, socket);
        if let Some(connection) = self.connections.get_mut(socket) {
            *connection = Connection::Live { group, member, has_timer, since };
        }
    }
}
