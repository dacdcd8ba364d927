//! Subscribers that read too slowly, by policy, over the scripted driver.

use std::time::{Duration, Instant};

use super::{
    connection::EndReason,
    core::Core,
    driver::{Event, Watch},
    scripted_tests::{PLENTY, SOCKET, Scripted, core, core_after, received},
};
use crate::{
    limits,
    provider::{LagPolicy, LocalProvider},
    sse::Message,
};

fn provider(policy: LagPolicy) -> LocalProvider {
    LocalProvider::builder().history_bytes(limits::HISTORY_BYTES_MIN).lag(policy).build()
}

fn publish(provider: &LocalProvider, data: &str) {
    provider.publish(&Message::new(data), &[""]).unwrap();
}

/// Publishes so much that nothing of before is retained. The core keeps up.
fn overtake(provider: &LocalProvider, core: &mut Core<Scripted>, now: Instant) {
    let padding = "x".repeat(limits::BODY_BYTES_MAX / 2);
    for nth in 0..2 * limits::HISTORY_BYTES_MIN / padding.len() {
        publish(provider, &format!("{nth} {padding}"));
        turns(core, now);
    }
}

/// Turns until there is nothing left to do: a core rests between passes.
fn turns(core: &mut Core<Scripted>, now: Instant) {
    for nth in 0..100 {
        core.turn(now + Duration::from_millis(5) * nth);
    }
}

fn room_again(core: &mut Core<Scripted>, now: Instant) {
    core.driver.room = PLENTY;
    core.happen(Event::Ready(SOCKET, Watch::Writable));
    turns(core, now);
}

/// The data lines, without the padding.
fn data(text: &str) -> Vec<&str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.map(|data| data.split(" x").next().unwrap_or(data)).collect()
}

#[test]
fn who_disconnects_is_cut_within_the_frame() {
    let (provider, now) = (provider(LagPolicy::Disconnect), Instant::now());
    let mut core = core(&provider, now);
    received(&mut core);
    core.driver.room = 20;
    publish(&provider, "first");
    turns(&mut core, now);
    overtake(&provider, &mut core, now);
    room_again(&mut core, now);
    assert!(!core.driver.closed.is_empty());
    assert_eq!(core.context.counters.ends(EndReason::Overtaken).get(), 1);
    assert_eq!(received(&mut core).len(), 20, "nothing more came");
}

#[test]
fn who_skips_ends_its_frame_is_told_and_gets_the_newest() {
    let now = Instant::now();
    for room in [0, 1, 20, 33] {
        let provider = provider(LagPolicy::SkipToNewest);
        let mut core = core(&provider, now);
        received(&mut core);
        core.driver.room = room;
        publish(&provider, "first");
        turns(&mut core, now);
        overtake(&provider, &mut core, now);
        publish(&provider, "newest");
        room_again(&mut core, now);
        publish(&provider, "next");
        turns(&mut core, now);
        let text = received(&mut core);
        let data = data(&text);
        let begun = usize::from(room > 0);
        assert_eq!(data[..begun], ["first"][..begun], "a frame that has begun is ended");
        assert!(data[begun].contains("\"reason\":\"lagged\""), "{data:?}");
        assert_eq!(data[begun + 1..], ["newest", "next"]);
        assert_eq!(core.context.counters.skips.get(), 1);
        assert_eq!(core.context.counters.deliveries().written as usize, begun + 2);
        assert_eq!(core.context.counters.lagging.get(), 0, "it is live again");
    }
}

#[test]
fn who_may_lag_less_than_the_history_skips_before_that() {
    let now = Instant::now();
    let provider = LocalProvider::builder().lag(LagPolicy::SkipToNewest).lag_bytes(1000).build();
    let mut core = core(&provider, now);
    received(&mut core);
    core.driver.room = 0;
    for nth in 0..10 {
        publish(&provider, &nth.to_string());
    }
    turns(&mut core, now);
    room_again(&mut core, now);
    assert_eq!(data(&received(&mut core)).len(), 10, "that is within 1000 bytes");
    core.driver.room = 0;
    for nth in 0..100 {
        publish(&provider, &nth.to_string());
    }
    turns(&mut core, now);
    room_again(&mut core, now);
    let text = received(&mut core);
    assert_eq!(data(&text)[1..], ["99"]);
}

#[test]
fn what_was_there_before_it_came_is_no_lag() {
    let now = Instant::now();
    let provider = LocalProvider::builder().lag(LagPolicy::SkipToNewest).lag_bytes(1000).build();
    let first = provider.publish(&Message::new("first"), &[""]).unwrap().id().unwrap();
    for nth in 0..100 {
        publish(&provider, &nth.to_string());
    }
    let mut core = core_after(&provider, first.as_str(), now);
    assert_eq!(data(&received(&mut core)).len(), 100, "all of them are replayed");
}

#[test]
fn who_conflates_gets_the_latest_of_each_key() {
    let (provider, now) = (provider(LagPolicy::Conflate), Instant::now());
    let mut core = core(&provider, now);
    received(&mut core);
    let publish = |data: &str, key: &str| {
        provider.publish(&Message::new(data).conflate_by(key), &[""]).unwrap();
    };
    publish("live 1", "a");
    turns(&mut core, now);
    publish("live 2", "a");
    turns(&mut core, now);
    assert_eq!(data(&received(&mut core)), ["live 1", "live 2"], "who keeps up gets all");
    core.driver.room = 20;
    for (data, key) in [("a1", "a"), ("b1", "b"), ("a2", "a"), ("c1", "c"), ("b2", "b")] {
        publish(data, key);
        turns(&mut core, now);
    }
    provider.publish(&Message::new("of no key"), &[""]).unwrap();
    publish("a3", "a");
    room_again(&mut core, now);
    // The first had begun.
    assert_eq!(data(&received(&mut core)), ["a1", "c1", "b2", "of no key", "a3"]);
    assert_eq!(core.context.counters.skips.get(), 0);
}

#[test]
fn who_conflates_is_told_where_the_latest_of_a_key_is_lost() {
    let (provider, now) = (provider(LagPolicy::Conflate), Instant::now());
    let mut core = core(&provider, now);
    received(&mut core);
    core.driver.room = 0;
    provider.publish(&Message::new("a1").conflate_by("a"), &[""]).unwrap();
    provider.publish(&Message::new("b1").conflate_by("b"), &[""]).unwrap();
    turns(&mut core, now);
    overtake(&provider, &mut core, now);
    provider.publish(&Message::new("a2").conflate_by("a"), &[""]).unwrap();
    room_again(&mut core, now);
    let text = received(&mut core);
    let data = data(&text);
    assert!(data[0].contains("lagged") && *data.last().unwrap() == "a2", "{data:?}");
}
