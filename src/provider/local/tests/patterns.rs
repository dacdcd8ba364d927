//! Patterns, and topics that change while a subscription lasts.

use super::*;

fn publish(provider: &LocalProvider, topic: &str) -> String {
    let receipt = provider.publish(&Message::new(topic), &[topic]).unwrap();
    receipt.id().unwrap().to_string()
}

#[tokio::test]
async fn a_pattern_gets_what_it_stands_for_once_and_in_order() {
    let provider = provider();
    let mut subscription = provider.subscribe(&request(&["o/*", "o/1", "o/**"], None)).unwrap();
    for topic in ["o/1", "p/1", "o", "o/2", "o/2/x"] {
        publish(&provider, topic);
    }
    provider.publish(&Message::new("both"), &["o/1", "o/3"]).unwrap();
    assert_eq!(drain(&mut subscription).await, ["o/1", "o/2", "o/2/x", "both"]);
    let to_pattern = provider.publish(&Message::new("x"), &["o/*"]).unwrap_err();
    assert_eq!(to_pattern, PublishError::Topic(TopicError::Pattern));
}

#[tokio::test]
async fn a_new_pattern_replays_what_was_published_before_there_was_one() {
    let provider = provider();
    let topics = ["o/1", "p/1", "o/2", "o/2/x", "o/1"];
    let ids: Vec<_> = topics.iter().map(|topic| publish(&provider, topic)).collect();
    for _ in 0..2 {
        // Newest first, so that each makes the pattern's index longer towards the past.
        for (seen, id) in ids.iter().enumerate().rev() {
            let mut resumed = provider.subscribe(&request(&["o/*"], Some(id))).unwrap();
            let expected =
                topics[seen + 1..].iter().filter(|topic| topic.matches('/').count() == 1);
            let expected: Vec<_> =
                expected.filter(|topic| topic.starts_with('o')).copied().collect();
            assert_eq!(drain(&mut resumed).await, expected, "after {seen}");
        }
        let mut unknown = provider.subscribe(&request(&["o/*"], Some("what"))).unwrap();
        assert_eq!(drain(&mut unknown).await[1..], ["o/1", "o/2", "o/1"]);
    }
    // While somebody holds the pattern, all share one index.
    let held = provider.subscribe(&request(&["o/*"], None)).unwrap();
    publish(&provider, "o/9");
    let mut resumed = provider.subscribe(&request(&["o/*"], Some(&ids[2]))).unwrap();
    assert_eq!(drain(&mut resumed).await, ["o/1", "o/9"]);
    drop(held);
}

#[tokio::test]
async fn a_pattern_whose_messages_are_gone_says_so() {
    let provider = provider();
    let first = publish(&provider, "o/1");
    publish(&provider, "o/2");
    let held = provider.subscribe(&request(&["o/*"], Some(&first))).unwrap();
    let big = Message::new("x".repeat(limits::BODY_BYTES_MAX / 2));
    while provider.log().tail() == Sequence::FIRST {
        provider.publish(&big, &["busy"]).unwrap();
    }
    drop(held);
    let mut resumed = provider.subscribe(&request(&["o/*"], Some(&first))).unwrap();
    assert!(drain(&mut resumed).await[0].contains("evicted"));
}

#[tokio::test]
async fn a_pattern_that_is_held_resumes_across_retirement() {
    let provider = provider();
    let mut held = provider.subscribe(&request(&["o/*"], None)).unwrap();
    let big = Message::new("x".repeat(limits::BODY_BYTES_MAX / 2));
    let mut last = publish(&provider, "o/1");
    for _ in 0..20 {
        provider.publish(&big, &["busy"]).unwrap();
        assert_eq!(drain(&mut held).await.len(), 1);
        let mut resumed = provider.subscribe(&request(&["o/*"], Some(&last))).unwrap();
        assert_eq!(drain(&mut resumed).await, [""; 0]);
        last = publish(&provider, "o/2");
    }
}

#[tokio::test]
async fn topics_come_and_go_while_a_subscription_lasts() {
    let provider = provider();
    let mut subscription = provider.subscribe(&request(&["a"], None)).unwrap();
    publish(&provider, "b");
    publish(&provider, "a");
    // It has read nothing yet: what was published to `b` before is still not for it.
    assert_eq!(subscription.add_topic("b"), Ok(true));
    assert_eq!(subscription.add_topic("b"), Ok(false));
    assert_eq!(subscription.add_topic("c/*"), Ok(true));
    for topic in ["b", "c/1", "a"] {
        publish(&provider, topic);
    }
    assert_eq!(drain(&mut subscription).await, ["a", "b", "c/1", "a"]);
    assert_eq!((provider.subscribers("b"), provider.subscribers("c/1")), (1, 1));
    publish(&provider, "a");
    assert!(subscription.remove_topic("a") && !subscription.remove_topic("a"));
    publish(&provider, "b");
    assert_eq!(drain(&mut subscription).await, ["b"]);
    assert!(subscription.remove_topic("b") && subscription.remove_topic("c/*"));
    publish(&provider, "b");
    assert_eq!(drain(&mut subscription).await, [""; 0]);
    assert_eq!(
        subscription.add_topic("a\n"),
        Err(SubscribeError::Topic(TopicError::Control { at: 1 }))
    );
    let max = limits::TOPICS_PER_SUBSCRIPTION_MAX;
    let refused: Vec<_> =
        (0..=max).filter_map(|n| subscription.add_topic(&n.to_string()).err()).collect();
    assert_eq!(refused, [SubscribeError::TooManyTopics { len: max + 1, max }]);
    drop(subscription);
    assert_eq!((provider.subscriptions(), provider.subscribers("b")), (0, 0));
}

#[tokio::test]
async fn an_added_topic_wakes_a_subscription_that_waits() {
    let provider = provider();
    let mut subscription = provider.subscribe(&request(&["a"], None)).unwrap();
    assert_eq!(drain(&mut subscription).await, [""; 0]);
    subscription.add_topic("b").unwrap();
    let publisher = provider.clone();
    let waiting = tokio::spawn(async move { subscription.next().await });
    tokio::task::yield_now().await;
    publish(&publisher, "b");
    let event = tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap().unwrap();
    assert!(event.unwrap().unwrap().ends_with(b"data: b\n\n"));
}
