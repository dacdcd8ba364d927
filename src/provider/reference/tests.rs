//! What is particular to each; the contract is checked by `provider::conformance`.

use super::*;
use crate::{
    limits,
    log::Overtaken,
    provider::{Provider, SubscribeRequest, Subscription},
    sse::Message,
};

fn publish(provider: &impl Provider, data: std::ops::Range<usize>) -> Vec<String> {
    let ids = data.map(|n| {
        let receipt = provider.publish(&Message::new(n.to_string()), &["a"]).unwrap();
        receipt.id().map(String::from).unwrap_or_default()
    });
    ids.collect()
}

/// The data of the events up to the end, and how it ended.
async fn drain(subscription: &mut Subscription) -> (Vec<String>, Option<Overtaken>) {
    let mut seen = Vec::new();
    loop {
        match subscription.next().await {
            Some(Ok(event)) => {
                let text = String::from_utf8(event.into()).unwrap();
                seen.extend(
                    text.lines().find_map(|line| line.strip_prefix("data: ")).map(Into::into),
                );
            }
            Some(Err(overtaken)) => return (seen, Some(overtaken)),
            None => return (seen, None),
        }
    }
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[tokio::test]
async fn a_subscriber_that_lags_behind_the_channel_is_told_and_cut() {
    let provider = BroadcastProvider::new(8);
    let mut subscription = provider.subscribe(&SubscribeRequest::to(&["a"])).unwrap();
    publish(&provider, 0..8);
    let mut at_the_limit = provider.subscribe(&SubscribeRequest::to(&["a"])).unwrap();
    publish(&provider, 8..16);
    provider.shutdown().unwrap();
    assert_eq!(drain(&mut subscription).await, (Vec::new(), Some(Overtaken)));
    assert!(subscription.next().await.is_none());
    assert_eq!(drain(&mut at_the_limit).await, (numbers(8..16), None));
}

#[tokio::test]
async fn a_subscriber_whose_queue_is_full_gets_what_is_in_it_and_is_cut() {
    let provider = SerialProvider::new(0);
    let mut slow = provider.subscribe(&SubscribeRequest::to(&["a"])).unwrap();
    publish(&provider, 0..limits::SERIAL_QUEUE_MESSAGES);
    let mut at_the_limit = provider.subscribe(&SubscribeRequest::to(&["a"])).unwrap();
    publish(&provider, 0..limits::SERIAL_QUEUE_MESSAGES);
    provider.shutdown().unwrap();
    let queued = numbers(0..limits::SERIAL_QUEUE_MESSAGES);
    assert_eq!(drain(&mut slow).await, (queued.clone(), Some(Overtaken)));
    assert_eq!(drain(&mut at_the_limit).await, (queued, None));
}

#[tokio::test]
async fn the_last_messages_are_replayed_and_a_gap_before_them_is_told() {
    let provider = SerialProvider::new(3);
    let ids = publish(&provider, 0..5);
    let after = |id: &str| provider.subscribe(&SubscribeRequest::to(&["a"]).after(id)).unwrap();
    let (mut evicted, mut oldest, mut newest) = (after(&ids[0]), after(&ids[1]), after(&ids[4]));
    provider.shutdown().unwrap();
    let (seen, end) = drain(&mut evicted).await;
    assert!(seen[0].contains("\"reason\":\"evicted\""), "{seen:?}");
    assert_eq!((&seen[1..], end), (&*numbers(2..5), None));
    assert_eq!(drain(&mut oldest).await, (numbers(2..5), None));
    assert_eq!(drain(&mut newest).await, (numbers(0..0), None));
}

#[tokio::test]
async fn dropping_the_provider_ends_its_subscriptions_in_order() {
    let provider = SerialProvider::new(0);
    let mut subscription = provider.subscribe(&SubscribeRequest::to(&["a"])).unwrap();
    publish(&provider, 0..2);
    drop(provider);
    assert_eq!(drain(&mut subscription).await, (numbers(0..2), None));
}
