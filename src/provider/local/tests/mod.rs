mod cold;
mod ids;
mod lag;
mod model;
mod patterns;
mod replay;

use std::time::Duration;

use super::*;
use crate::provider::{LocalSubscription, Publisher};
use crate::{
    limits,
    log::{LogOptions, Sequence},
    sse::{EventId, EventType, Message},
};

fn provider() -> LocalProvider {
    LocalProvider::new(LogOptions { history_bytes: limits::HISTORY_BYTES_MIN })
}

fn request(topics: &[&str], last_event_id: Option<&str>) -> SubscribeRequest {
    SubscribeRequest {
        lag: None,
        topics: topics.iter().map(|&topic| topic.to_owned()).collect(),
        last_event_id: last_event_id.map(ToOwned::to_owned),
    }
}

/// The data of everything that is there now.
async fn drain(subscription: &mut LocalSubscription) -> Vec<String> {
    let mut text = String::new();
    while let Ok(Some(item)) =
        tokio::time::timeout(Duration::from_millis(20), subscription.next()).await
    {
        text.push_str(std::str::from_utf8(&item.expect("not overtaken")).expect("events are text"));
    }
    text.lines().filter_map(|line| line.strip_prefix("data: ")).map(ToOwned::to_owned).collect()
}

#[tokio::test]
async fn a_message_on_two_topics_of_a_subscriber_arrives_once_and_in_order() {
    let provider = provider();
    let mut both = provider.subscribe(&request(&["a", "b"], None)).unwrap();
    let mut only_b = provider.subscribe(&request(&["b"], None)).unwrap();
    provider.publish(&Message::new("1"), &["a"]).unwrap();
    provider.publish(&Message::new("2"), &["a", "b", "a"]).unwrap();
    provider.publish(&Message::new("3"), &["b"]).unwrap();
    provider.publish(&Message::new("4"), &["c"]).unwrap();
    assert_eq!(drain(&mut both).await, ["1", "2", "3"]);
    assert_eq!(drain(&mut only_b).await, ["2", "3"]);
}

#[tokio::test]
async fn resuming_after_each_id_gives_exactly_what_follows() {
    let provider = provider();
    let ids: Vec<_> = (0..20)
        .map(|n| {
            let topic = if n % 2 == 0 { "even" } else { "odd" };
            provider.publish(&Message::new(n.to_string()), &[topic]).unwrap().id().unwrap()
        })
        .collect();
    for (seen, id) in ids.iter().enumerate() {
        let resume = request(&["even"], Some(id.as_str()));
        let mut subscription = provider.subscribe(&resume).unwrap();
        let expected: Vec<_> =
            (seen + 1..20).filter(|n| n % 2 == 0).map(|n| n.to_string()).collect();
        assert_eq!(drain(&mut subscription).await, expected, "after {id}");
    }
}

#[tokio::test]
async fn an_unknown_id_gets_a_gap_event_and_then_all_that_is_retained() {
    let provider = provider();
    provider.publish(&Message::new("kept"), &["a"]).unwrap();
    for (id, reason) in [("what", "unknown"), ("00000000-1", "epoch"), ("x\"y", "unknown")] {
        let mut subscription = provider.subscribe(&request(&["a"], Some(id))).unwrap();
        let got = drain(&mut subscription).await;
        let gap: serde_json::Value = serde_json::from_str(&got[0]).unwrap();
        assert_eq!((gap["requested"].as_str(), gap["reason"].as_str()), (Some(id), Some(reason)));
        assert_eq!(got[1..], ["kept"]);
    }
}

#[tokio::test]
async fn an_evicted_id_gets_a_gap_event_but_a_quiet_topic_resumes_without_one() {
    let provider = provider();
    let quiet = provider.publish(&Message::new("quiet"), &["quiet"]).unwrap().id().unwrap();
    let evicted = provider.publish(&Message::new("gone"), &["busy"]).unwrap().id().unwrap();
    let big = Message::new("x".repeat(limits::BODY_BYTES_MAX / 2));
    while provider.log().tail() == Sequence::FIRST {
        provider.publish(&big, &["busy"]).unwrap();
    }
    assert!(provider.log().bytes_used() <= 2 * limits::HISTORY_BYTES_MIN);
    let mut resumed = provider.subscribe(&request(&["busy"], Some(evicted.as_str()))).unwrap();
    let first = resumed.next().await.unwrap().unwrap();
    let first = std::str::from_utf8(&first).unwrap();
    assert!(first.contains("event: fanfare.gap\n") && first.contains("evicted"), "{first}");

    // Nothing of "quiet" is lost after its only message, though the Log has moved on. Its topic was
    // forgotten with that message, so this cannot be known any more: a gap is the honest answer.
    let mut resumed = provider.subscribe(&request(&["quiet"], Some(quiet.as_str()))).unwrap();
    let first = resumed.next().await.unwrap().unwrap();
    assert!(std::str::from_utf8(&first).unwrap().contains("evicted"));
}

#[tokio::test]
async fn a_reader_that_the_log_overtakes_is_told_and_cut() {
    let provider = provider();
    let mut slow = provider.subscribe(&request(&["a"], None)).unwrap();
    let big = Message::new("x".repeat(limits::BODY_BYTES_MAX / 2));
    for _ in 0..40 {
        provider.publish(&big, &["a"]).unwrap();
    }
    assert!(slow.next().await.unwrap().is_err());
    assert!(slow.next().await.is_none());
}

#[tokio::test]
async fn shutdown_gives_what_is_owed_and_ends() {
    let provider = provider();
    let mut subscription = provider.subscribe(&request(&["a"], None)).unwrap();
    provider.publish(&Message::new("last"), &["a"]).unwrap();
    provider.shutdown().unwrap();
    assert_eq!(provider.shutdown(), Err(Closed));
    assert!(subscription.next().await.unwrap().is_ok());
    assert!(subscription.next().await.is_none());
    assert_eq!(provider.publish(&Message::new("x"), &["a"]), Err(PublishError::Closed(Closed)));
}

#[test]
fn what_may_not_be_published_is_refused_by_name() {
    let provider = provider();
    let message = Message::new("x");
    assert_eq!(provider.publish(&message, &[]).unwrap_err(), PublishError::NoTopics);
    let control = provider.publish(&message, &["a\nb"]).unwrap_err();
    assert_eq!(control.to_string(), "topic name has a control character at byte 1");
    let ours = Message::new("x").event(EventType::new(GAP_EVENT).unwrap());
    assert_eq!(provider.publish(&ours, &["a"]).unwrap_err(), PublishError::ReservedEventType);
    assert_eq!(provider.publish(&Message::empty(), &["a"]).unwrap_err(), PublishError::Empty);
    let large = Message::new("\n".repeat(limits::BODY_BYTES_MAX / 2));
    assert!(matches!(provider.publish(&large, &["a"]).unwrap_err(), PublishError::TooLarge { .. }));
}

#[test]
fn a_batch_with_a_fault_publishes_nothing() {
    let provider = provider();
    let (one, two) = (Message::new("1"), Message::new("2"));
    let batch = [
        Publication { message: &one, topics: &["a"] },
        Publication { message: &two, topics: &["a\0"] },
    ];
    assert!(provider.publish_batch(&batch).is_err());
    assert_eq!(provider.log().head(), Sequence::FIRST);
    let receipts = provider.publish_batch(&batch[..1]).unwrap();
    assert_eq!(receipts.len(), 1);
}

/// A subscriber that has had enough leaves before the publisher goes on.
#[test]
fn a_receipt_counts_who_was_there_when_the_message_came() {
    let provider = provider();
    let joined = provider.join(&["a".to_owned()]).unwrap();
    let (to_leave, leaves_from) = (joined.clone(), provider.clone());
    let leave = Box::new(move || leaves_from.leave(&to_leave));
    let reader = provider.register_reader(leave).unwrap();
    joined[0].interest().add_reader(reader.id());
    assert!(reader.signal.park());
    assert_eq!(provider.publish(&Message::new("x"), &["a"]).unwrap().subscribers(), 1);
    assert_eq!(provider.publish(&Message::new("y"), &["a"]).unwrap().subscribers(), 0);
}

#[tokio::test]
async fn an_own_id_is_kept_and_resumed_from_while_it_is_retained() {
    let provider = provider();
    let own = |id: &str| Message::new(id).id(EventId::new(id).unwrap());
    for id in ["one", "two", "one", "three"] {
        let receipt = provider.publish(&own(id), &["a"]).unwrap();
        assert_eq!(receipt.id().unwrap().as_str(), id);
    }
    let resumed = |id| provider.subscribe(&request(&["a"], Some(id))).unwrap();
    // An id that came twice means the first: something comes again, nothing is missed.
    assert_eq!(drain(&mut resumed("one")).await, ["two", "one", "three"]);
    assert_eq!(drain(&mut resumed("three")).await, [""; 0]);
    let big = Message::new("x".repeat(limits::BODY_BYTES_MAX / 2));
    while provider.log().tail() == Sequence::FIRST {
        provider.publish(&big, &["b"]).unwrap();
    }
    assert!(drain(&mut resumed("three")).await[0].contains("unknown"));
}

#[test]
fn an_own_id_that_looks_like_one_of_ours_is_refused() {
    let provider = provider();
    let ours = provider.publish(&Message::new("x"), &["a"]).unwrap().id().unwrap();
    let again = Message::new("x").id(ours);
    assert_eq!(provider.publish(&again, &["a"]).unwrap_err(), PublishError::ReservedEventId);
}

#[tokio::test]
async fn topics_are_forgotten_with_their_last_subscriber_and_message() {
    let provider = provider();
    drop(provider.subscribe(&request(&["a"], None)).unwrap());
    assert_eq!((provider.topics(), provider.subscriptions()), (0, 0));
    provider.publish(&Message::new("x"), &["b"]).unwrap();
    assert_eq!(provider.topics(), 1);
    let big = Message::new("x".repeat(limits::BODY_BYTES_MAX / 2));
    for _ in 0..40 {
        provider.publish(&big, &["c"]).unwrap();
    }
    assert_eq!(provider.topics(), 1, "b went with its message");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_publish_at_full_speed_and_every_reader_sees_one_order() {
    const EACH: usize = 5_000;
    let provider = LocalProvider::new(LogOptions::default());
    let mut readers: Vec<_> =
        (0..3).map(|_| provider.subscribe(&request(&["a"], None)).unwrap()).collect();
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let publisher = Publisher::new(provider.clone());
            std::thread::spawn(move || {
                for n in 0..EACH {
                    publisher.publish(&Message::new(format!("{thread}:{n}")), &["a"]).unwrap();
                }
            })
        })
        .collect();
    let mut orders = Vec::new();
    for reader in &mut readers {
        let mut seen = Vec::new();
        while seen.len() < 4 * EACH {
            let bytes = reader.next().await.unwrap().unwrap();
            let text = std::str::from_utf8(&bytes).unwrap();
            let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
            seen.extend(data.map(ToOwned::to_owned));
        }
        orders.push(seen);
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(orders.iter().all(|order| *order == orders[0]));
    for thread in 0..4 {
        let mine = orders[0].iter().filter(|data| data.starts_with(&format!("{thread}:")));
        assert!(mine.eq((0..EACH).map(|n| format!("{thread}:{n}")).collect::<Vec<_>>().iter()));
    }
}
