//! Waiting: a session listens to its workers until something is so, or nothing moves any more.

use std::time::Duration;

use super::{HEAR_WITHIN, Publishing, Session};
use crate::report::Standing as Shown;
use crate::worker::{Event, Standing};

/// Connecting may be silent for so many times as long as deliveries: a lost SYN comes again after seconds.
const CONNECT_PATIENCE: u32 = 2;

impl Session {
    /// Waits until `count` streams stand.
    ///
    /// # Errors
    /// In words, when they do not and nothing changes any more.
    pub(crate) fn await_up(&mut self, count: u32) -> Result<(), String> {
        let mut silence = Silence::new(self.load.patience * CONNECT_PATIENCE, self.now_ns());
        loop {
            let Standing { up, pending, failed, .. } = self.stands();
            if up >= count {
                return Ok(());
            }
            let is_settled = pending == 0 && failed > 0;
            if is_settled || silence.is_too_long(u64::from(up), self.now_ns()) {
                let why =
                    self.turn()?.tally.first_failure.unwrap_or_else(|| "no answer".to_owned());
                return Err(format!("only {up} of {count} subscribers are ready: {why}"));
            }
            self.hear(HEAR_WITHIN)?;
        }
    }

    /// Waits until no more connections are in the making.
    pub(crate) fn await_settled(&mut self) -> Result<(), String> {
        // Until the workers have read what they were told, nothing is in the making.
        self.turn()?;
        let mut silence = Silence::new(self.load.patience * CONNECT_PATIENCE, self.now_ns());
        while self.stands().pending > 0
            && !silence.is_too_long(self.stands().pending.into(), self.now_ns())
        {
            self.hear(HEAR_WITHIN)?;
        }
        Ok(())
    }

    /// Waits until all that was published is in, nobody is left, or nothing has come for a while.
    pub(crate) fn await_delivered(&mut self) -> Result<(), String> {
        let expected = self.expected(0..self.published);
        let mut silence = Silence::new(self.load.patience, self.now_ns());
        loop {
            let Standing { up, pending, delivered, bytes, .. } = self.stands();
            let (seen, is_all) = match self.load.blind {
                true => (bytes, false),
                false => (delivered, delivered >= expected),
            };
            if is_all || up + pending == 0 || silence.is_too_long(seen, self.now_ns()) {
                return Ok(());
            }
            self.hear(HEAR_WITHIN)?;
        }
    }

    /// Listens for so long.
    pub(crate) fn pass(&mut self, time: Duration) -> Result<(), String> {
        let end_ns = self.now_ns() + time.as_nanos() as u64;
        while self.now_ns() < end_ns {
            let left = Duration::from_nanos(end_ns.saturating_sub(self.now_ns()));
            self.hear(HEAR_WITHIN.min(left))?;
        }
        Ok(())
    }

    /// Waits until `done`, as long as that moves: `counted` tells how far it is.
    pub(crate) fn await_progress(
        &mut self,
        counted: impl Fn(&Standing) -> u64,
        done: u64,
    ) -> Result<(), String> {
        let mut silence = Silence::new(self.load.patience * CONNECT_PATIENCE, self.now_ns());
        loop {
            let standing = self.stands();
            let seen = counted(&standing);
            if seen >= done || silence.is_too_long(seen, self.now_ns()) {
                return Ok(());
            }
            self.hear(HEAR_WITHIN)?;
        }
    }

    pub(super) fn await_that(
        &mut self,
        within: Duration,
        what: &str,
        is_so: impl Fn(&Self) -> bool,
    ) -> Result<(), String> {
        let deadline_ns = self.now_ns() + within.as_nanos() as u64;
        while !is_so(self) {
            if self.now_ns() > deadline_ns {
                return Err(format!("workers are not done with {what} after {within:?}"));
            }
            self.hear(HEAR_WITHIN)?;
        }
        Ok(())
    }

    /// Takes in the next event, if there is one, and does what is due.
    pub(super) fn hear(&mut self, within: Duration) -> Result<(), String> {
        if let Some((worker, event)) = self.fleet.hear(within)? {
            self.take(worker, event)?;
        }
        let now_ns = self.now_ns();
        if let Some(publishing) = &self.publishing {
            self.book.note_written(now_ns, publishing.written());
        }
        if now_ns >= self.next_slice_ns {
            self.next_slice_ns = now_ns - now_ns % self.setup.slice_ns + self.setup.slice_ns;
            self.show(now_ns);
        }
        Ok(())
    }

    fn take(&mut self, worker: usize, event: Event) -> Result<(), String> {
        match event {
            Event::Ready { runtime, why } => self.runtimes.push((runtime, why)),
            Event::Standing(standing) => self.standing[worker] = standing,
            Event::Slice(slice) => self.book.add(*slice),
            Event::Flushed => self.flushed += 1,
            Event::First(first) => {
                self.heard_first += 1;
                for (known, told) in self.first.iter_mut().zip(first) {
                    let is_earlier = match (&known, &told) {
                        (Some(known), Some(told)) => told.number < known.number,
                        (None, _) => true,
                        (_, None) => false,
                    };
                    if is_earlier {
                        *known = told;
                    }
                }
            }
            Event::Closed { faults } => _ = self.closed.insert(worker, faults),
            Event::Failed(error) => return Err(format!("worker {worker}: {error}")),
            Event::Gone if self.closed.contains_key(&worker) => {}
            Event::Gone => return Err(format!("worker {worker} has ended before its time")),
        }
        Ok(())
    }

    /// Shows how the run goes.
    fn show(&mut self, now_ns: u64) {
        let written = self.publishing.as_ref().map(Publishing::written);
        let standing = self.stands();
        // Nothing has been counted yet.
        let Some(newest) = self.book.newest() else { return };
        let some = |ms: f64| (ms > 0.0).then_some(ms);
        self.progress.update(&Shown {
            phase: self.stage.as_deref(),
            elapsed: Duration::from_nanos(now_ns),
            total: Some(self.plan.expected),
            connected: standing.up.into(),
            subscribers: self.load.subscribers.into(),
            published: written.filter(|&written| written > 0),
            delivered_per_second: newest.delivered_per_second,
            p50_ms: some(newest.p50_ms),
            p99_ms: some(newest.p99_ms),
            faults: standing.faults,
            tester_cpu_cores: newest.tester_cpu_cores,
        });
    }
}

/// How long a count has not moved.
#[derive(Debug)]
struct Silence {
    allowed_ns: u64,
    seen: u64,
    since_ns: u64,
}

impl Silence {
    fn new(allowed: Duration, now_ns: u64) -> Self {
        Self { allowed_ns: allowed.as_nanos() as u64, seen: 0, since_ns: now_ns }
    }

    fn is_too_long(&mut self, count: u64, now_ns: u64) -> bool {
        if count != self.seen {
            (self.seen, self.since_ns) = (count, now_ns);
        }
        now_ns.saturating_sub(self.since_ns) > self.allowed_ns
    }
}
