//! The end: shutting down, once and in order.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use super::{
    Need, Rule,
    reader::ensure_same,
    subject::{Fault, Subject, ensure, join},
};
use crate::{
    provider::{Closed, Publication, PublishError, SubscribeError, SubscribeRequest},
    sse::Message,
};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "shutdown succeeds once",
        text: "`shutdown` succeeds once, whoever calls it at the same time, and `is_closed` says so.",
        needs: Need::Nothing,
        check: shutdown_succeeds_once,
    },
    Rule {
        name: "closed after shutdown",
        text: "Whatever is called after `shutdown` gets its `Closed` error.",
        needs: Need::Nothing,
        check: closed_after_shutdown,
    },
    Rule {
        name: "subscriptions end in order",
        text: "Each subscription ends at shutdown, without an error, after what was published before.",
        needs: Need::Nothing,
        check: subscriptions_end_in_order,
    },
    Rule {
        name: "published or closed",
        text: "A publish that races with shutdown is received if it succeeded, and only then.",
        needs: Need::Nothing,
        check: published_or_closed,
    },
];

fn shutdown_succeeds_once(subject: &Subject) -> Result<(), Fault> {
    ensure!(!subject.provider().is_closed(), "a new provider says that it is closed");
    let succeeded = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            subject.spawn(scope, || {
                succeeded.fetch_add(subject.shutdown().is_ok().into(), Ordering::Relaxed);
            });
        }
    });
    let succeeded = succeeded.into_inner();
    ensure!(succeeded == 1, "{succeeded} of 8 shutdowns succeeded");
    ensure!(subject.provider().is_closed(), "it was shut down and does not say that it is closed");
    ensure!(subject.shutdown() == Err(Closed), "a shutdown after the first succeeded");
    Ok(())
}

fn closed_after_shutdown(subject: &Subject) -> Result<(), Fault> {
    subject.shutdown().map_err(|error| Fault::new(error.to_string()))?;
    let message = Message::new("x");
    let closed = Some(PublishError::Closed(Closed));
    let published = subject.try_publish(&message, &["a"]);
    ensure!(published.as_ref().err() == closed.as_ref(), "publish gave {published:?}");
    let one = Publication { message: &message, topics: &["a"] };
    for batch in [&[][..], &[one]] {
        let published = subject.try_publish_batch(batch);
        ensure!(published.as_ref().err() == closed.as_ref(), "publish_batch gave {published:?}");
    }
    let subscribed = subject.try_subscribe(&SubscribeRequest::to(&["a"]));
    ensure!(matches!(subscribed, Err(SubscribeError::Closed(_))), "subscribe gave {subscribed:?}");
    Ok(())
}

fn subscriptions_end_in_order(subject: &Subject) -> Result<(), Fault> {
    let mut read_later = subject.subscribe(&["a"])?;
    let mut quiet = subject.subscribe(&["b"])?;
    let mut active = subject.subscribe(&["a", "b"])?;
    let mut active_and_quiet = subject.subscribe(&["b"])?;
    let due: Vec<_> = (0..100).map(|n| format!("before {n}")).collect();
    thread::scope(|scope| {
        let active = subject.spawn(scope, || active.data_to_end());
        let active_and_quiet = subject.spawn(scope, || active_and_quiet.data_to_end());
        due.iter().try_for_each(|data| subject.say(data, &["a"]).map(drop))?;
        subject.shutdown().map_err(|error| Fault::new(error.to_string()))?;
        ensure_same(&join(active)?, &due)?;
        ensure_same(&join(active_and_quiet)?, &[""; 0])
    })?;
    ensure_same(&read_later.data_to_end()?, &due).map_err(|fault| fault.at("read later"))?;
    ensure_same(&quiet.data_to_end()?, &[""; 0])
}

fn published_or_closed(subject: &Subject) -> Result<(), Fault> {
    (1..=30).try_for_each(|round| {
        race_with_shutdown(&subject.fresh(), round)
            .map_err(|fault| fault.at(format!("round {round}")))
    })
}

fn race_with_shutdown(subject: &Subject, round: usize) -> Result<(), Fault> {
    const PUBLISHERS: usize = 3;
    let mut reader = subject.subscribe(&["a"])?;
    let published = AtomicUsize::new(0);
    let (mut got, mut due) = thread::scope(|scope| {
        let publishing: Vec<_> = (0..PUBLISHERS)
            .map(|by| {
                let published = &published;
                subject.spawn(scope, move || {
                    let sent = publish_until_closed(subject, by, published);
                    // Nobody waits for one that has failed.
                    published.fetch_add(round, Ordering::Relaxed);
                    sent
                })
            })
            .collect();
        let shutting = subject.spawn(scope, || {
            while published.load(Ordering::Relaxed) < round {
                thread::yield_now();
            }
            subject.shutdown().map_err(|error| Fault::new(error.to_string()))
        });
        let got = reader.data_to_end();
        join(shutting)?;
        let mut due = Vec::new();
        for publishing in publishing {
            due.extend(join(publishing)?);
        }
        Ok((got?, due))
    })?;
    // Each publisher's own order is another rule's.
    got.sort_unstable();
    due.sort_unstable();
    ensure_same(&got, &due)
}

/// What was published, successfully.
fn publish_until_closed(
    subject: &Subject,
    by: usize,
    published: &AtomicUsize,
) -> Result<Vec<String>, Fault> {
    let mut sent = Vec::new();
    let mut closed = false;
    for n in 0..60 {
        let data = format!("{by} raced {n:02}");
        match subject.try_publish(&Message::new(&data), &["a"]) {
            Ok(_) => {
                ensure!(!closed, "a publish succeeded after one had failed as closed");
                sent.push(data);
            }
            Err(PublishError::Closed(_)) => closed = true,
            Err(error) => return Err(Fault::new(format!("publishing failed: {error}"))),
        }
        published.fetch_add(1, Ordering::Relaxed);
    }
    Ok(sent)
}
