//! Who has how many subscribers, told on a topic.

use serde_json::{Value, json};

use crate::harness::{Driver, Options, Subscriber};

both_drivers!(who_comes_and_goes_is_told_on_the_topic);

fn who_comes_and_goes_is_told_on_the_topic(driver: Driver) {
    const CROWD: usize = 300;
    let server = Options::new(driver).argument("--presence=who").start();
    let mut watcher = Subscriber::open(&server, &["who"]);
    let mut until = |expected: &Value| {
        for told in 1.. {
            let event = watcher.next();
            assert_eq!(event.kind.as_deref(), Some("fanfare.presence"));
            let data: Value = serde_json::from_str(event.data()).expect("JSON");
            assert_eq!(data["topic"], "lobby", "nothing else is news");
            if data == *expected {
                return told;
            }
        }
        unreachable!("it waits for ever before")
    };
    let asked: Vec<_> = (0..CROWD).map(|_| Subscriber::send(&server, &["lobby"])).collect();
    let crowd: Vec<_> = asked.into_iter().map(|one| one.accepted()).collect();
    let told = until(&json!({"topic": "lobby", "subscribers": CROWD}));
    // Once a second at most, and all of them were there long before so many seconds had passed.
    assert!(told < CROWD / 2, "{told} events for {CROWD} subscribers");
    drop(crowd);
    until(&json!({"topic": "lobby", "subscribers": 0}));
}
