//! What changes while a core runs: it holds from the next turn on, and ends nobody.

use std::time::{Duration, Instant};

use super::{
    core::{Command, Core},
    inspect::Inquiry,
    scripted_tests::{SOCKET, Scripted, core_after, empty_core, request, turns},
    tuning::Tuning,
};
use crate::{limits, log::LogOptions, provider::LocalProvider, sse::Message};

/// Goes on with other limits, or other heartbeats, from the next turn on.
fn retune(core: &mut Core<Scripted>, change: impl FnOnce(&mut Tuning), now: Instant) {
    let mut tuning = core.context.tuning.get();
    change(&mut tuning);
    core.context.tuning.set(tuning);
    assert!(core.context.commands.push(Command::Retune));
    turns(core, now);
}

#[test]
fn another_head_deadline_holds_for_whoever_comes_next() {
    let provider = LocalProvider::new(LogOptions::default());
    let start = Instant::now();
    let mut core = empty_core(&provider);
    let before = request(&mut core, "", start);
    let short = limits::HEAD_DEADLINE / 10;
    retune(&mut core, |tuning| tuning.limits.head_deadline = short, start);
    let after = request(&mut core, "", start);
    turns(&mut core, start + short - Duration::from_millis(1));
    assert_eq!(core.driver.closed, []);
    turns(&mut core, start + short);
    assert_eq!(core.driver.closed, [after]);
    turns(&mut core, start + limits::HEAD_DEADLINE);
    assert_eq!(core.driver.closed, [after, before]);
}

#[test]
fn a_queue_full_of_something_else_is_no_excuse() {
    let provider = LocalProvider::new(LogOptions::default());
    let start = Instant::now();
    let mut core = empty_core(&provider);
    let mut tuning = core.context.tuning.get();
    tuning.limits.head_deadline = limits::HEAD_DEADLINE / 10;
    let (reply, _answer) = tokio::sync::oneshot::channel();
    assert!(core.context.commands.push(Command::Inquire(Inquiry::Page { from_slot: 0, reply })));
    core.context.tuning.set(tuning);
    assert!(!core.context.commands.push(Command::Retune), "it has no room");
    turns(&mut core, start);
    let late = request(&mut core, "", start);
    turns(&mut core, start + tuning.limits.head_deadline);
    assert_eq!(core.driver.closed, [late]);
}

#[test]
fn another_tuning_cuts_nobody_and_holds_for_who_is_there() {
    let provider = LocalProvider::new(LogOptions::default());
    let start = Instant::now();
    let mut core = core_after(&provider, "", start);
    let interval = limits::HEARTBEAT_MIN;
    retune(&mut core, |tuning| tuning.heartbeat = Some(interval), start);
    turns(&mut core, start + interval);
    assert_eq!(core.context.counters.heartbeats.get(), 1, "the new interval");
    let change = |tuning: &mut Tuning| {
        tuning.heartbeat = None;
        tuning.limits.connections_per_core = 1;
        tuning.limits.write_stall_deadline = limits::DEADLINE_MIN;
    };
    retune(&mut core, change, start + interval);
    turns(&mut core, start + 10 * interval);
    assert_eq!(core.context.counters.heartbeats.get(), 1, "no more of them");
    assert_eq!(core.driver.closed, []);

    let refused = request(&mut core, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", start + 10 * interval);
    assert!(core.driver.sent_to(refused).starts_with(b"HTTP/1.1 503 "));
    core.driver.room = 0;
    provider.publish(&Message::new("x"), &[""]).unwrap();
    let stalled = start + 11 * interval;
    turns(&mut core, stalled);
    turns(&mut core, stalled + limits::DEADLINE_MIN - Duration::from_millis(1));
    assert_eq!(core.driver.closed, []);
    turns(&mut core, stalled + limits::DEADLINE_MIN);
    assert_eq!(core.driver.closed, [SOCKET], "the new deadline");
}
