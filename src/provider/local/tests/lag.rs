//! Subscribers that read too slowly, by policy.

use super::*;
use crate::provider::LagPolicy;

fn subscribe(provider: &LocalProvider, topics: &[&str], lag: LagPolicy) -> LocalSubscription {
    provider.subscribe(&SubscribeRequest::to(topics).lag(lag)).unwrap()
}

fn publish(provider: &LocalProvider, topic: &str, data: &str) {
    provider.publish(&Message::new(data), &[topic]).unwrap();
}

fn publish_keyed(provider: &LocalProvider, topic: &str, data: &str, key: &str) {
    provider.publish(&Message::new(data).conflate_by(key), &[topic]).unwrap();
}

/// Publishes so much on another topic that nothing of before is retained.
fn overtake(provider: &LocalProvider) {
    let padding = "x".repeat(limits::BODY_BYTES_MAX / 2);
    for _ in 0..2 * limits::HISTORY_BYTES_MIN / padding.len() {
        publish(provider, "other", &padding);
    }
}

#[tokio::test]
async fn each_policy_has_its_answer_to_what_is_lost() {
    let provider = provider();
    let mut cut = provider.subscribe(&SubscribeRequest::to(&["a"])).unwrap();
    let mut skips = subscribe(&provider, &["a"], LagPolicy::SkipToNewest);
    publish(&provider, "a", "lost");
    overtake(&provider);
    publish(&provider, "a", "kept");
    publish(&provider, "a", "newest");
    assert!(cut.next().await.unwrap().is_err());
    assert!(cut.next().await.is_none());
    let got = drain(&mut skips).await;
    let gap: serde_json::Value = serde_json::from_str(&got[0]).unwrap();
    assert_eq!(gap["reason"], "lagged");
    assert_eq!(got[1..], ["newest"]);
    publish(&provider, "a", "live");
    assert_eq!(drain(&mut skips).await, ["live"]);
}

/// A pattern's index is tidied when the next of its messages comes.
#[tokio::test]
async fn who_skips_on_a_pattern_is_told_once_where_nothing_of_it_is_left() {
    let provider = provider();
    let mut skips = subscribe(&provider, &["p/*"], LagPolicy::SkipToNewest);
    publish(&provider, "p/1", "lost");
    overtake(&provider);
    let gap = skips.next().await.unwrap().unwrap();
    assert!(gap.windows(6).any(|bytes| bytes == b"lagged"));
    let again = tokio::time::timeout(Duration::from_millis(20), skips.next()).await;
    assert!(again.is_err(), "there is nothing to tell: {again:?}");
    publish(&provider, "p/2", "next");
    assert_eq!(drain(&mut skips).await, ["next"]);
}

#[tokio::test]
async fn resuming_from_a_gap_event_goes_on_behind_it() {
    let provider = provider();
    let mut skips = subscribe(&provider, &["a"], LagPolicy::SkipToNewest);
    publish(&provider, "a", "lost");
    overtake(&provider);
    publish(&provider, "a", "newest");
    let gap = skips.next().await.unwrap().unwrap();
    let gap = String::from_utf8(gap.to_vec()).unwrap();
    let id = gap.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
    let mut resumed = provider.subscribe(&request(&["a"], Some(id))).unwrap();
    assert_eq!(drain(&mut resumed).await, ["newest"]);
}

#[tokio::test]
async fn a_policy_of_the_provider_is_for_those_who_ask_for_none() {
    let provider = LocalProvider::builder().lag(LagPolicy::SkipToNewest).lag_bytes(1000).build();
    let mut skips = provider.subscribe(&SubscribeRequest::to(&["a"])).unwrap();
    let mut cut = subscribe(&provider, &["a"], LagPolicy::Disconnect);
    for nth in 0..100 {
        publish(&provider, "a", &nth.to_string());
    }
    assert_eq!(drain(&mut skips).await[1..], ["99"]);
    assert!(cut.next().await.unwrap().is_err());
}

#[tokio::test]
async fn lag_is_counted_in_messages_for_the_subscriber() {
    let provider = LocalProvider::builder().lag_bytes(1000).build();
    let mut quiet = provider.subscribe(&SubscribeRequest::to(&["a"])).unwrap();
    publish(&provider, "a", "1");
    assert_eq!(drain(&mut quiet).await, ["1"]);
    for nth in 0..100 {
        publish(&provider, "b", &nth.to_string());
    }
    publish(&provider, "a", "2");
    assert_eq!(drain(&mut quiet).await, ["2"], "it has missed nothing of its own");
}

#[tokio::test]
async fn who_conflates_gets_the_latest_of_each_key_on_each_topic() {
    let provider = provider();
    let mut all = provider.subscribe(&SubscribeRequest::to(&["p/1"])).unwrap();
    let mut one = subscribe(&provider, &["p/1"], LagPolicy::Conflate);
    let mut pattern = subscribe(&provider, &["p/*"], LagPolicy::Conflate);
    for nth in 0..3 {
        publish_keyed(&provider, "p/1", &format!("1 a{nth}"), "a");
        publish_keyed(&provider, "p/2", &format!("2 a{nth}"), "a");
        publish_keyed(&provider, "p/1", &format!("1 b{nth}"), "b");
    }
    publish(&provider, "p/1", "no key");
    assert_eq!(drain(&mut all).await.len(), 7);
    assert_eq!(drain(&mut one).await, ["1 a2", "1 b2", "no key"]);
    assert_eq!(drain(&mut pattern).await, ["1 a2", "2 a2", "1 b2", "no key"]);
    publish_keyed(&provider, "p/1", "1 a3", "a");
    assert_eq!(drain(&mut one).await, ["1 a3"]);
}

#[tokio::test]
async fn under_a_pattern_a_message_stands_for_those_on_the_same_topic_only() {
    let provider = provider();
    let mut pattern = subscribe(&provider, &["p/*"], LagPolicy::Conflate);
    for (data, topics) in [("1", ["x", "p/1"]), ("2", ["x", "p/2"]), ("3", ["y", "p/1"])] {
        provider.publish(&Message::new(data).conflate_by("k"), &topics).unwrap();
    }
    assert_eq!(drain(&mut pattern).await, ["2", "3"]);
}

#[tokio::test]
async fn who_conflates_loses_nothing_that_a_later_message_stands_for() {
    let provider = provider();
    let mut conflates = subscribe(&provider, &["a"], LagPolicy::Conflate);
    publish_keyed(&provider, "a", "1", "k");
    let padding = "x".repeat(limits::BODY_BYTES_MAX / 4);
    for nth in 0.. {
        if nth == 10 {
            publish_keyed(&provider, "a", "2", "k");
        }
        publish(&provider, "other", &padding);
        if provider.log().tail() > Sequence::FIRST {
            break;
        }
    }
    assert_eq!(drain(&mut conflates).await, ["2"], "without a gap");
    publish_keyed(&provider, "a", "3", "lost");
    overtake(&provider);
    publish_keyed(&provider, "a", "4", "k");
    let got = drain(&mut conflates).await;
    assert!(got[0].contains("lagged") && got[1..] == ["4"], "{got:?}");
}

#[test]
fn a_key_has_its_bound() {
    let provider = provider();
    let publish = |len| {
        let message = Message::new("x").conflate_by(&"k".repeat(len));
        provider.publish(&message, &["a"])
    };
    let max = limits::CONFLATION_KEY_BYTES_MAX;
    publish(max).unwrap();
    let refused = PublishError::ConflationKeyTooLong { len: max + 1, max };
    assert_eq!(publish(max + 1), Err(refused));
}
