//! How much is replayed: to the message, at every fill level.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::*;

/// A clock that the test moves.
#[derive(Clone, Default)]
pub(super) struct Hand(Arc<AtomicU64>);

impl Hand {
    pub(super) fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::Relaxed);
    }

    pub(super) fn clock(&self) -> impl Fn() -> Duration + Send + Sync + 'static {
        let hand = self.clone();
        move || Duration::from_secs(hand.0.load(Ordering::Relaxed))
    }

    fn provider(&self, replay: Replay) -> LocalProvider {
        LocalProvider::builder().replay(replay).clock(self.clock()).build()
    }
}

fn publish(provider: &LocalProvider, data: usize) -> String {
    let receipt = provider.publish(&Message::new(data.to_string()), &["a"]).unwrap();
    receipt.id().unwrap().to_string()
}

/// What a client gets that saw `id` last: whether it is told of a gap, and the data after that.
async fn resume(provider: &LocalProvider, id: &str) -> (bool, Vec<String>) {
    let mut got = drain(&mut provider.subscribe(&request(&["a"], Some(id))).unwrap()).await;
    let is_gap = got.first().is_some_and(|first| first.starts_with('{'));
    (is_gap, got.split_off(usize::from(is_gap)))
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn the_last_ones_by_count_are_exact_at_every_fill_level() {
    for count in [1, 2, 5] {
        let provider = Hand::default().provider(Replay::everything().last(count as u64));
        let mut ids = Vec::new();
        for published in 1..=14_usize {
            ids.push(publish(&provider, published - 1));
            for (seen, id) in ids.iter().enumerate() {
                let is_gap = published - 1 - seen > count;
                let from = if is_gap { published - count } else { seen + 1 };
                let expected = (is_gap, numbers(from..published));
                assert_eq!(resume(&provider, id).await, expected, "{seen} of {published}");
            }
        }
    }
}

#[tokio::test]
async fn an_age_is_over_when_it_is_reached() {
    let hand = Hand::default();
    let provider = hand.provider(Replay::everything().younger_than(Duration::from_secs(10)));
    let mut ids = Vec::new();
    for second in 0..4 {
        hand.set(second);
        ids.push(publish(&provider, second as usize));
    }
    for (now, from) in [(9, 0), (10, 1), (12, 3), (13, 4), (1000, 4)] {
        hand.set(now);
        for (seen, id) in ids.iter().enumerate() {
            let is_gap = from > seen + 1;
            let expected = (is_gap, numbers(from.max(seen + 1)..4));
            assert_eq!(resume(&provider, id).await, expected, "{seen} at {now}");
        }
    }
}

#[tokio::test]
async fn bytes_are_those_that_go_out() {
    let all = Hand::default().provider(Replay::everything());
    (0..10).for_each(|n| drop(publish(&all, n)));
    let frames = all.log().segment(Sequence::FIRST).unwrap();
    let sizes: Vec<_> = frames
        .frames(Sequence::FIRST..all.log().head())
        .map(|frame| frame.chunk().len() as u64)
        .collect();
    for whole in 0..=10 {
        let exact: u64 = sizes[10 - whole..].iter().sum();
        for (bytes, kept) in
            [(exact, whole), (exact + 1, whole), (exact.saturating_sub(1), whole.max(1) - 1)]
        {
            let provider = Hand::default().provider(Replay::everything().bytes(bytes));
            (0..10).for_each(|n| drop(publish(&provider, n)));
            let (_, got) = resume(&provider, "what").await;
            assert_eq!(got, numbers(10 - kept..10), "{bytes} bytes");
        }
    }
}

#[tokio::test]
async fn the_first_bound_that_is_reached_holds() {
    let hand = Hand::default();
    let both = Replay::everything().last(3).younger_than(Duration::from_secs(10));
    let provider = hand.provider(both);
    for n in 0..5 {
        hand.set(n);
        publish(&provider, n as usize);
    }
    assert_eq!(resume(&provider, "what").await, (true, numbers(2..5)));
    hand.set(13);
    assert_eq!(resume(&provider, "what").await, (true, numbers(4..5)));
}

#[tokio::test]
async fn bounds_hold_across_segments() {
    let hand = Hand::default();
    let bytes = Replay::everything().bytes(3 * 1024 * 1024);
    let old = Replay::everything().younger_than(Duration::from_secs(20));
    for (replay, kept) in [(bytes, 23), (old, 20), (Replay::everything().last(30), 30)] {
        hand.set(0);
        let provider = hand.provider(replay);
        for n in 0..40 {
            hand.set(n);
            let large =
                Message::new("x".repeat(limits::BODY_BYTES_MAX / 2)).comment(&n.to_string());
            provider.publish(&large, &["a"]).unwrap();
        }
        let (_, got) = resume(&provider, "what").await;
        assert_eq!(got.len(), kept, "{replay:?}");
    }
}

#[tokio::test]
async fn nothing_to_replay_is_told_as_a_gap_to_whoever_missed_something() {
    for replay in [
        Replay::everything().last(0),
        Replay::everything().younger_than(Duration::ZERO),
        Replay::everything().bytes(0),
    ] {
        let provider = Hand::default().provider(replay);
        let first = publish(&provider, 0);
        assert_eq!(resume(&provider, &first).await, (false, vec![]), "nothing was missed");
        let newest = publish(&provider, 1);
        assert_eq!(resume(&provider, &first).await, (true, vec![]));
        assert_eq!(resume(&provider, &newest).await, (false, vec![]));
    }
}

#[tokio::test]
async fn after_a_gap_there_is_what_is_live_if_that_is_asked_for() {
    let provider = LocalProvider::builder().after_gap(AfterGap::Live).build();
    publish(&provider, 0);
    let mut subscription = provider.subscribe(&request(&["a"], Some("what"))).unwrap();
    publish(&provider, 1);
    let got = drain(&mut subscription).await;
    let gap: serde_json::Value = serde_json::from_str(&got[0]).unwrap();
    let first = format!("{:08x}-2", provider.log().epoch());
    assert_eq!(
        (gap["reason"].as_str(), gap["first_available"].as_str()),
        (Some("unknown"), Some(&*first))
    );
    assert_eq!(got[1..], ["1"]);
}

#[tokio::test]
async fn another_topic_s_loss_is_no_gap() {
    let provider = Hand::default().provider(Replay::everything().last(2));
    let first = publish(&provider, 0);
    for _ in 0..5 {
        provider.publish(&Message::new("busy"), &["b"]).unwrap();
    }
    assert_eq!(resume(&provider, &first).await, (false, vec![]));
    publish(&provider, 1);
    assert_eq!(resume(&provider, &first).await, (false, numbers(1..2)));
    provider.publish(&Message::new("busy"), &["b"]).unwrap();
    provider.publish(&Message::new("busy"), &["b"]).unwrap();
    assert_eq!(resume(&provider, &first).await, (true, vec![]));
}

/// A subscriber that is on its way is not what the bounds are for.
#[tokio::test]
async fn a_live_subscriber_gets_what_may_not_be_replayed_any_more() {
    let provider = Hand::default().provider(Replay::everything().last(1));
    let mut live = provider.subscribe(&request(&["a"], None)).unwrap();
    (0..5).for_each(|n| drop(publish(&provider, n)));
    assert_eq!(drain(&mut live).await, numbers(0..5));
}

#[tokio::test]
async fn ids_from_elsewhere_are_answered() {
    let provider = Hand::default().provider(Replay::everything());
    publish(&provider, 0);
    let epoch = format!("{:08x}", provider.log().epoch());
    for ahead in ["2", "77", "18446744073709551615"] {
        let id = format!("{epoch}-{ahead}");
        assert_eq!(resume(&provider, &id).await, (false, vec![]), "{id} is ahead");
    }
    let megabyte = "9".repeat(1024 * 1024);
    for id in ["-1", "--1", "0-1", "18446744073709551616", "01", "\0", " 1", "1e3", &megabyte] {
        let id = format!("{epoch}-{id}");
        assert_eq!(resume(&provider, &id).await, (true, numbers(0..1)), "{:.40}", id);
    }
    let all = drain(&mut provider.subscribe(&request(&["a"], Some(&megabyte))).unwrap()).await;
    assert!(all[0].len() < 1024, "the gap event repeats the beginning of an id");
}
