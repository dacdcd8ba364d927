//! Ids, keys and counts: what a publisher is told.

use super::*;
use crate::provider::Receipt;

fn own(id: &str) -> Message {
    Message::new("x").id(EventId::new(id).unwrap())
}

#[test]
fn where_ids_are_automatic_a_message_brings_none() {
    let provider = LocalProvider::builder().ids(Ids::Automatic).build();
    assert!(provider.publish(&Message::new("x"), &["a"]).is_ok());
    for id in ["7", ""] {
        assert_eq!(provider.publish(&own(id), &["a"]), Err(PublishError::OwnEventId));
    }
}

#[test]
fn where_ids_are_brought_each_is_new() {
    let provider =
        LocalProvider::builder().ids(Ids::Own).history_bytes(limits::HISTORY_BYTES_MIN).build();
    let bare = Message::new("x");
    assert_eq!(provider.publish(&bare, &["a"]), Err(PublishError::NoEventId));
    assert_eq!(provider.publish(&own("1"), &["a"]).unwrap().id().unwrap().as_str(), "1");
    assert_eq!(provider.publish(&own("1"), &["b"]), Err(PublishError::DuplicateEventId));
    let (one, two, three) = (own("1"), own("2"), own("3"));
    let batch = |messages: [&Message; 2]| {
        let topics = &["a"];
        provider.publish_batch(&messages.map(|message| Publication { message, topics }))
    };
    assert_eq!(batch([&two, &one]), Err(PublishError::DuplicateEventId));
    assert_eq!(batch([&two, &two]), Err(PublishError::DuplicateEventId));
    assert_eq!(batch([&two, &bare]), Err(PublishError::NoEventId));
    assert_eq!(batch([&two, &three]).unwrap().len(), 2);
    // When its message is gone, an id is free again.
    let mut number = 10;
    while provider.log().tail() == Sequence::FIRST {
        number += 1;
        let big = Message::new("x".repeat(limits::BODY_BYTES_MAX / 2));
        let id = EventId::new(number.to_string()).unwrap();
        provider.publish(&big.id(id), &["a"]).unwrap();
    }
    assert!(provider.publish(&own("1"), &["a"]).is_ok());
}

#[test]
fn a_key_publishes_once() {
    let provider = provider();
    let (message, other) = (Message::new("x"), Message::new("y"));
    let conflated = Message::new("x").conflate_by("k");
    let batch = [Publication { message: &message, topics: &["a"] }];
    let first = provider.publish_once("key", &batch).unwrap();
    let again = provider.publish_once("key", &batch).unwrap();
    assert_eq!(first[0].id(), again[0].id());
    assert!(!first[0].is_repeated() && again[0].is_repeated());
    assert_eq!(provider.log().head().number(), 2);
    for changed in [
        Publication { message: &other, topics: &["a"] },
        Publication { message: &conflated, topics: &["a"] },
        Publication { message: &message, topics: &["b"] },
        Publication { message: &message, topics: &["a", "b"] },
    ] {
        let reused = provider.publish_once("key", &[changed]);
        assert_eq!(reused, Err(PublishError::IdempotencyKeyReused));
    }
    assert!(!provider.publish_once("other", &batch).unwrap()[0].is_repeated());
    for key in [String::new(), "k".repeat(129)] {
        let refused = provider.publish_once(&key, &batch).unwrap_err();
        assert!(refused.to_string().contains("from 1 to 128"), "{refused}");
    }
}

#[test]
fn a_refused_batch_takes_no_key() {
    let provider = provider();
    let (empty, message) = (Message::empty(), Message::new("x"));
    let refused = [Publication { message: &empty, topics: &["a"] }];
    assert_eq!(provider.publish_once("key", &refused), Err(PublishError::Empty));
    let batch = [Publication { message: &message, topics: &["a"] }];
    assert!(!provider.publish_once("key", &batch).unwrap()[0].is_repeated());
    provider.shutdown().unwrap();
    assert_eq!(provider.publish_once("key", &batch), Err(PublishError::Closed(Closed)));
}

#[test]
fn a_key_is_forgotten_after_its_window_or_among_too_many() {
    let now = Arc::new(AtomicU64::new(0));
    let hand = Arc::clone(&now);
    let clock = move || Duration::from_secs(hand.load(Ordering::Relaxed));
    let provider = LocalProvider::builder().clock(clock).build();
    let message = Message::new("x");
    let batch = [Publication { message: &message, topics: &["a"] }];
    let is_repeated = |key: &str| provider.publish_once(key, &batch).unwrap()[0].is_repeated();
    assert!(!is_repeated("key"));
    now.store(limits::IDEMPOTENCY_WINDOW.as_secs() - 1, Ordering::Relaxed);
    assert!(is_repeated("key"));
    now.store(limits::IDEMPOTENCY_WINDOW.as_secs(), Ordering::Relaxed);
    assert!(!is_repeated("key"), "the window counts from the first time");
    for number in 1..limits::IDEMPOTENCY_KEYS_MAX {
        assert!(!is_repeated(&number.to_string()));
    }
    assert!(is_repeated("key"));
    assert!(!is_repeated("one more"));
    assert!(!is_repeated("key"));
}

#[test]
fn a_receipt_counts_each_subscriber_once() {
    let provider = provider();
    let subscribe = |topics: &[&str]| provider.subscribe(&request(topics, None)).unwrap();
    let count = |topics: &[&str]| {
        provider.publish(&Message::new("x"), topics).map(|receipt| Receipt::subscribers(&receipt))
    };
    let both = subscribe(&["a", "b"]);
    let again = subscribe(&["b", "a"]);
    let all = subscribe(&["a", "b", "c"]);
    let one = subscribe(&["a"]);
    let by_pattern = subscribe(&["**"]);
    let by_name_and_pattern = subscribe(&["a", "*"]);
    assert_eq!(count(&["a"]), Ok(6));
    assert_eq!(count(&["b"]), Ok(5));
    assert_eq!(count(&["a", "b"]), Ok(6));
    assert_eq!(count(&["a", "b", "c"]), Ok(6));
    assert_eq!(count(&["c", "d/e"]), Ok(3));
    assert_eq!(provider.subscribers("a"), 6);
    assert_eq!(provider.subscribers("d/e"), 1);
    assert_eq!(provider.subscribers("*"), 1);
    assert_eq!(provider.subscriptions(), 6);
    drop((both, all, by_name_and_pattern));
    assert_eq!(count(&["a", "b"]), Ok(3));
    drop((again, one, by_pattern));
    assert_eq!((count(&["a", "b"]), provider.subscriptions()), (Ok(0), 0));
}
