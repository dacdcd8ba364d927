//! History from elsewhere: what a replayer gives, and what it cannot break.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, OnceLock},
    task::{Context, Poll},
};

use futures_core::Stream;

use super::*;

/// What has been asked for, and how it is answered.
#[derive(Clone, Default)]
struct Archive {
    asked: Arc<Mutex<Vec<ReplayRequest>>>,
    answer: Option<fn(usize) -> Step>,
    /// What happens meanwhile.
    meanwhile: Arc<OnceLock<Box<dyn Fn() + Send + Sync>>>,
}

enum Step {
    Message(&'static str),
    End,
    Fault,
    Panic,
}

struct Steps {
    answer: fn(usize) -> Step,
    taken: usize,
}

impl Replayer for Archive {
    fn replay(&self, request: &ReplayRequest) -> Option<Replayed> {
        self.asked.lock().unwrap().push(request.clone());
        assert_ne!(request.last_event_id, "panic", "as it was asked to");
        self.meanwhile.get().into_iter().for_each(|meanwhile| meanwhile());
        self.answer.map(|answer| Box::pin(Steps { answer, taken: 0 }) as Replayed)
    }
}

impl Stream for Steps {
    type Item = Result<Message, Box<dyn std::error::Error + Send + Sync>>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let step = (self.answer)(self.taken);
        self.taken += 1;
        Poll::Ready(match step {
            Step::Message(id) => Some(Ok(Message::new(id).id(EventId::new(id).unwrap()))),
            Step::End => None,
            Step::Fault => Some(Err("the disk is gone".into())),
            Step::Panic => panic!("as planned"),
        })
    }
}

/// A provider whose first messages are in the archive only, and what a subscriber gets that saw `id`.
async fn resume(archive: &Archive, id: &str) -> Vec<String> {
    let provider = LocalProvider::builder()
        .replay(Replay::everything().last(2))
        .replayer(archive.clone())
        .build();
    for n in 0..5 {
        provider.publish(&Message::new(n.to_string()), &["a"]).unwrap();
    }
    assert!(provider.needs_replayer(&["a".to_owned()], Some(id)));
    let mut subscription = provider.subscribe(&request(&["a"], Some(id))).unwrap();
    provider.publish(&Message::new("live"), &["a"]).unwrap();
    drain(&mut subscription).await
}

#[tokio::test]
async fn what_the_log_has_not_comes_from_the_replayer() {
    let archive = Archive {
        answer: Some(|taken| {
            ["old 1", "old 2"].get(taken).map_or(Step::End, |id| Step::Message(id))
        }),
        ..Archive::default()
    };
    assert_eq!(resume(&archive, "old 0").await, ["old 1", "old 2", "3", "4", "live"]);
    let asked = archive.asked.lock().unwrap();
    assert_eq!((asked.len(), &*asked[0].last_event_id), (1, "old 0"));
    assert_eq!(asked[0].topics, ["a"]);
    assert!(asked[0].before.ends_with("-4"), "{}", asked[0].before);
}

#[tokio::test]
async fn a_replayer_that_does_not_know_leaves_a_gap() {
    let got = resume(&Archive::default(), "what").await;
    assert!(got[0].contains("unknown"), "{got:?}");
    assert_eq!(got[1..], ["3", "4", "live"]);
}

#[tokio::test]
async fn a_failure_or_a_panic_hurts_only_that_replay() {
    let answers: [fn(usize) -> Step; 2] = [
        |taken| if taken == 0 { Step::Message("old 1") } else { Step::Fault },
        |taken| if taken == 0 { Step::Message("old 1") } else { Step::Panic },
    ];
    for answer in answers {
        let archive = Archive { answer: Some(answer), ..Archive::default() };
        let got = resume(&archive, "old 0").await;
        assert_eq!(got[0], "old 1");
        assert!(got[1].contains(r#""requested":"old 1""#), "{got:?}");
        assert_eq!(got[2..], ["4", "live"]);
    }
    let got = resume(&Archive::default(), "panic").await;
    assert_eq!(got[1..], ["3", "4", "live"]);
}

/// Moves the Log on by more than its history.
fn fill(provider: &LocalProvider) {
    let big = Message::new("x".repeat(limits::BODY_BYTES_MAX / 2));
    (0..20).for_each(|_| drop(provider.publish(&big, &["a"]).unwrap()));
}

#[tokio::test]
async fn a_log_that_runs_away_from_a_replay_is_asked_for_again_and_not_for_ever() {
    let archive = Archive { answer: Some(|_| Step::End), ..Archive::default() };
    let provider = LocalProvider::builder()
        .history_bytes(limits::HISTORY_BYTES_MIN)
        .replayer(archive.clone())
        .build();
    let filled = provider.clone();
    fill(&provider);
    let mut subscription = provider.subscribe(&request(&["a"], Some("what"))).unwrap();
    fill(&provider);
    assert!(!drain(&mut subscription).await.is_empty());
    assert_eq!(archive.asked.lock().unwrap().len(), 2);

    archive.asked.lock().unwrap().clear();
    assert!(archive.meanwhile.set(Box::new(move || fill(&filled))).is_ok());
    let mut subscription = provider.subscribe(&request(&["a"], Some("what"))).unwrap();
    let gap = subscription.next().await.unwrap().unwrap();
    assert!(std::str::from_utf8(&gap).unwrap().contains(GAP_EVENT));
    assert_eq!(archive.asked.lock().unwrap().len(), limits::REPLAYS_MAX as usize);
}

#[tokio::test]
async fn what_the_log_has_is_not_asked_for() {
    let archive = Archive::default();
    let provider = LocalProvider::builder().replayer(archive.clone()).build();
    let id = provider.publish(&Message::new("1"), &["a"]).unwrap().id().unwrap();
    provider.publish(&Message::new("2"), &["a"]).unwrap();
    assert!(!provider.needs_replayer(&["a".to_owned()], Some(id.as_str())));
    assert!(!provider.needs_replayer(&["a".to_owned()], None));
    let mut subscription = provider.subscribe(&request(&["a"], Some(id.as_str()))).unwrap();
    assert_eq!(drain(&mut subscription).await, ["2"]);
    assert!(archive.asked.lock().unwrap().is_empty());
    assert_eq!(provider.subscriptions(), 1);
}
