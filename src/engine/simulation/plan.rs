//! What kind of world a seed gives: which faults there are, how small everything is, who comes.
//!
//! Each class of fault is on or off as a whole, so that some worlds have one alone and others have
//! several at once.

use fastrand::Rng;

use super::selection::NAMES;
use crate::{
    engine::driver::sim::Faults,
    provider::{AfterGap, Replay},
};

/// The choices of one seed.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) cores: usize,
    /// Things that happen before the first check, and before each further one.
    pub(super) steps: usize,
    pub(super) checks: usize,
    pub(super) faults: Faults,
    pub(super) log: LogPlan,
    pub(super) publishing: Publishing,
    pub(super) peers: PeersPlan,
    pub(super) sockets_max: usize,
    pub(super) connections_max: usize,
    /// Places for connections that are given away.
    pub(super) hand_over_max: usize,
    /// The clock jumps, as it does for a process that was stopped.
    pub(super) has_jumps: bool,
    /// A core is told to drain while everything goes on.
    pub(super) drains_early: bool,
    /// How long a core takes at most to end those that are owed nothing.
    pub(super) drain_millis: u64,
    /// An operator looks at connections, and closes some.
    pub(super) has_operator: bool,
    /// All are told to drain in the middle of everything.
    pub(super) ends_abruptly: bool,
    pub(super) weights: Weights,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct LogPlan {
    pub(super) epoch: u32,
    pub(super) history_bytes: usize,
    pub(super) segment_bytes: usize,
    pub(super) replay_last: Option<u64>,
    pub(super) after_gap: AfterGap,
}

/// What is published.
#[derive(Clone, Copy, Debug)]
pub(super) struct Publishing {
    /// Topics in use, from the first of [`NAMES`].
    pub(super) topics: usize,
    pub(super) bytes_max: usize,
    pub(super) batch_max: usize,
    /// Of a hundred messages, those that bring an id.
    pub(super) own_ids: u8,
    /// Of a hundred messages, those with a conflation key.
    pub(super) keyed: u8,
    /// How often, of a thousand calls of a driver, a message comes while it is under way.
    pub(super) meanwhile: u16,
}

/// Who connects, and how it behaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeersPlan {
    pub(super) at_once_max: usize,
    pub(super) window_max: usize,
    pub(super) selections_max: usize,
    pub(super) has_patterns: bool,
    pub(super) has_bare: bool,
    /// Of a hundred, those that say what they saw last.
    pub(super) resuming: u8,
    /// Of a hundred, those that ask to skip or to be conflated.
    pub(super) lagging: u8,
    /// Of a hundred, those that behave in some way that is not a healthy subscriber's.
    pub(super) unhealthy: u8,
    /// Of a hundred, those that wait for a verdict.
    pub(super) waiting: u8,
    /// Of a hundred, those whose time will be up.
    pub(super) expiring: u8,
    /// Of a hundred, those whose head comes in pieces.
    pub(super) in_pieces: u8,
}

/// How often each thing happens, beside the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights {
    pub(super) turn: u32,
    pub(super) peer: u32,
    pub(super) connect: u32,
    pub(super) publish: u32,
    pub(super) moment: u32,
    pub(super) while_: u32,
}

impl Plan {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let is_tight = rng.bool();
        Self {
            cores: one_of(rng, &[1, 1, 2, 3]),
            steps: rng.usize(100..600),
            checks: rng.usize(1..=3),
            faults: faults(rng),
            log: log(rng, is_tight),
            publishing: publishing(rng, is_tight),
            peers: peers(rng),
            sockets_max: one_of(rng, &[3, 8, 64, 64]),
            connections_max: one_of(rng, &[2, 6, 50, 50]),
            hand_over_max: one_of(rng, &[1, 2, 8]),
            has_jumps: rng.u8(0..4) == 0,
            drains_early: rng.u8(0..8) == 0,
            drain_millis: one_of(rng, &[0, 0, 20, 5000]),
            has_operator: rng.u8(0..4) == 0,
            ends_abruptly: rng.bool(),
            weights: Weights {
                turn: rng.u32(20..60),
                peer: rng.u32(20..60),
                connect: rng.u32(2..10),
                publish: rng.u32(2..30),
                moment: rng.u32(5..20),
                while_: rng.u32(0..3),
            },
        }
    }
}

fn faults(rng: &mut Rng) -> Faults {
    Faults {
        partial: sometimes(rng, 60),
        no_room: sometimes(rng, 30),
        short_receive: sometimes(rng, 50),
        late: sometimes(rng, 60),
        stale: sometimes(rng, 100),
        no_descriptor: sometimes(rng, 30),
        not_taken: sometimes(rng, 50),
    }
}

fn log(rng: &mut Rng, is_tight: bool) -> LogPlan {
    let segment_bytes = if is_tight { rng.usize(256..1500) } else { rng.usize(256..16 * 1024) };
    LogPlan {
        epoch: rng.u32(..),
        history_bytes: if is_tight { segment_bytes * rng.usize(2..6) } else { 4 * 1024 * 1024 },
        segment_bytes,
        replay_last: (rng.u8(0..5) == 0).then(|| rng.u64(0..30)),
        after_gap: one_of(rng, &[AfterGap::Everything, AfterGap::Everything, AfterGap::Live]),
    }
}

fn publishing(rng: &mut Rng, is_tight: bool) -> Publishing {
    let bytes_max = if is_tight { rng.usize(20..600) } else { rng.usize(20..6000) };
    Publishing {
        topics: rng.usize(1..=NAMES.len()),
        bytes_max,
        batch_max: one_of(rng, &[1, 1, 4, 12]),
        own_ids: sometimes(rng, 100),
        keyed: sometimes(rng, 100),
        meanwhile: one_of(rng, &[0, 0, 5, 50]),
    }
}

fn peers(rng: &mut Rng) -> PeersPlan {
    PeersPlan {
        at_once_max: rng.usize(1..16),
        window_max: one_of(rng, &[40, 400, 4000, 40_000]),
        selections_max: one_of(rng, &[1, 1, 2, 4]),
        has_patterns: rng.bool(),
        has_bare: rng.bool(),
        resuming: sometimes(rng, 100),
        lagging: sometimes(rng, 100),
        unhealthy: sometimes(rng, 90),
        waiting: sometimes(rng, 100),
        expiring: sometimes(rng, 50),
        in_pieces: sometimes(rng, 100),
    }
}

impl LogPlan {
    pub(super) fn replay(self) -> Replay {
        self.replay_last.map_or(Replay::everything(), |count| Replay::everything().last(count))
    }
}

/// Never, in half of the worlds; else with a chance of up to so many of a hundred.
fn sometimes(rng: &mut Rng, percent_max: u8) -> u8 {
    if rng.bool() { 0 } else { rng.u8(1..=percent_max) }
}

fn one_of<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    *rng.choice(choices).expect("there is a choice")
}
