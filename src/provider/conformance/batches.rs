//! Several messages published as one.

use std::thread;

use super::{
    MESSAGES_BEHIND, Need, Rule,
    reader::{data, ensure_same},
    subject::{Fault, Subject, ensure, join},
};
use crate::{
    provider::{Publication, PublishError},
    sse::Message,
};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "batches are all or nothing",
        text: "`publish_batch` publishes all messages, in order, or fails by the fault of the first \
               that is wrong and publishes none.",
        needs: Need::Batches,
        check: all_or_nothing,
    },
    Rule {
        name: "nothing within a batch",
        text: "`publish_batch` publishes messages one after the other with nothing in between.",
        needs: Need::Batches,
        check: nothing_in_between,
    },
    Rule {
        name: "batches are refused",
        text: "A provider that cannot promise a batch refuses more than one message by NoBatches, \
               and publishes none.",
        needs: Need::NoBatches,
        check: refused,
    },
];

fn all_or_nothing(subject: &Subject) -> Result<(), Fault> {
    let mut reader = subject.subscribe(&["a", "b"])?;
    let messages = ["one", "two", "three"].map(Message::new);
    let topics: [&[&str]; 3] = [&["a"], &["b"], &["b", "a"]];
    let batch = |at: usize| Publication { message: &messages[at], topics: topics[at] };
    let empty = Message::empty();
    let faulty = Publication { message: &empty, topics: &["a"] };
    let nowhere = Publication { message: &messages[1], topics: &[] };
    for (wrong, fault) in [(faulty, PublishError::Empty), (nowhere, PublishError::NoTopics)] {
        let error = subject.try_publish_batch(&[batch(0), wrong, batch(2)]).err();
        ensure!(error.as_ref() == Some(&fault), "a batch with {fault:?} gave {error:?}");
    }
    let receipts = subject.try_publish_batch(&[batch(0), batch(1), batch(2)]);
    let receipts = receipts.map_err(|error| Fault::new(format!("a batch failed: {error}")))?;
    ensure!(receipts.len() == 3, "{} receipts were given for 3 messages", receipts.len());
    let none = subject.try_publish_batch(&[]);
    ensure!(none == Ok(Vec::new()), "a batch of none gave {none:?}");
    subject.say("last", &["a"])?;
    let events = reader.until("last")?;
    ensure_same(&data(events.clone()), &["one", "two", "three"])?;
    for (event, receipt) in events.iter().zip(receipts) {
        let (got, id) = (event.last_event_id(), receipt.id().map(String::from).unwrap_or_default());
        ensure!(got == id, "{:?} arrived with id {got:?}, its receipt says {id:?}", event.data());
    }
    Ok(())
}

fn nothing_in_between(subject: &Subject) -> Result<(), Fault> {
    const PARTS: usize = 4;
    const BATCHES: usize = MESSAGES_BEHIND / 2 / 3 / PARTS;
    let mut reader = subject.subscribe(&["a"])?;
    for round in 0..50 {
        let publish = |by: usize, batch: usize| {
            let part = |n| Message::new(format!("batch {by}.{batch} part {n}"));
            let parts: Vec<_> = (0..PARTS).map(part).collect();
            let batch: Vec<_> =
                parts.iter().map(|message| Publication { message, topics: &["a"] }).collect();
            let published = subject.try_publish_batch(&batch);
            published.map(drop).map_err(|error| Fault::new(format!("a batch failed: {error}")))
        };
        thread::scope(|scope| {
            let publishing: Vec<_> = (0..3)
                .map(|by| {
                    let publish = &publish;
                    subject.spawn(scope, move || (0..BATCHES).try_for_each(|n| publish(by, n)))
                })
                .collect();
            publishing.into_iter().try_for_each(join)
        })?;
        for batch in data(reader.take(3 * BATCHES * PARTS)?).chunks(PARTS) {
            let first = batch[0].split_once(" part ").map_or("nothing", |(name, _)| name);
            let due: Vec<_> = (0..PARTS).map(|n| format!("{first} part {n}")).collect();
            ensure_same(batch, &due).map_err(|fault| fault.at(format!("round {round}")))?;
        }
    }
    Ok(())
}

fn refused(subject: &Subject) -> Result<(), Fault> {
    let mut reader = subject.subscribe(&["a"])?;
    let [one, two] = ["one", "two"].map(Message::new);
    let (one, two) = (
        Publication { message: &one, topics: &["a"] },
        Publication { message: &two, topics: &["a"] },
    );
    let error = subject.try_publish_batch(&[one, two]).err();
    ensure!(error == Some(PublishError::NoBatches), "a batch of two gave {error:?}");
    let none = subject.try_publish_batch(&[]);
    ensure!(none == Ok(Vec::new()), "a batch of none gave {none:?}");
    let alone = subject.try_publish_batch(&[two]);
    ensure!(alone.as_ref().is_ok_and(|one| one.len() == 1), "a batch of one gave {alone:?}");
    subject.say("last", &["a"])?;
    ensure_same(&reader.data_until("last")?, &["two"])
}
