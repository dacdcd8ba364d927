//! What a subscription gets, and what becomes of one that nobody reads.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_core::Stream;

use super::{
    MESSAGES_BEHIND, Need, Rule,
    reader::{Next, Reader, data, ensure_same},
    subject::{Fault, Subject, ensure, join},
};
use crate::{
    provider::{GAP_EVENT, SubscribeRequest, Subscription},
    sse::Message,
};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "what follows is received",
        text: "Whatever is published after `subscribe` has returned, a subscription gets, in order \
               and once, whether it is being read or not.",
        needs: Need::Nothing,
        check: what_follows_is_received,
    },
    Rule {
        name: "what came before is not",
        text: "A subscription without a last event id, or with an empty one, begins at the moment \
               of the call.",
        needs: Need::Nothing,
        check: what_came_before_is_not,
    },
    Rule {
        name: "topics are apart",
        text: "A message reaches the subscribers of its topics, by the exact name, and no others.",
        needs: Need::Nothing,
        check: topics_are_apart,
    },
    Rule {
        name: "several topics, once",
        text: "A subscriber gets a message at most once, however many of its topics match.",
        needs: Need::Nothing,
        check: several_topics_once,
    },
    Rule {
        name: "items are whole events",
        text: "Each item of a subscription holds one or more whole events.",
        needs: Need::Nothing,
        check: items_are_whole_events,
    },
    Rule {
        name: "dropping is the end",
        text: "Dropping a subscription puts an end to it: nothing more is done for it, and others \
               do not notice.",
        needs: Need::Nothing,
        check: dropping_is_the_end,
    },
    Rule {
        name: "who does not read",
        text: "No call waits for a subscriber: one that does not read hurts only itself. What it \
               loses, it is told in the stream, or its stream ends with an error.",
        needs: Need::Nothing,
        check: who_does_not_read,
    },
    Rule {
        name: "the Log has it all",
        text: "What is published is in the Log of the provider's `local`: the engine reads it there.",
        needs: Need::Log,
        check: the_log_has_it_all,
    },
];

fn what_follows_is_received(subject: &Subject) -> Result<(), Fault> {
    let numbers: Vec<_> = (0..MESSAGES_BEHIND + 50).map(|n| n.to_string()).collect();
    let mut reader = subject.subscribe(&["a"])?;
    let mut second = subject.subscribe(&["a"])?;
    let (unread, read) = numbers.split_at(MESSAGES_BEHIND);
    for number in unread {
        subject.say(number, &["a"])?;
    }
    subject.say("one by one", &["a"])?;
    // The second one goes on from here: as far behind as it may be, but no further.
    ensure_same(&second.data_until("one by one")?, unread)?;
    ensure_same(&reader.data_until("one by one")?, unread)?;
    std::thread::scope(|scope| {
        // Waiting before anything is published, mostly.
        let waiting = subject.spawn(scope, || second.take(read.len()).map(data));
        for number in read {
            subject.say(number, &["a"])?;
            ensure_same(&[reader.event()?.data()], &[number])?;
        }
        ensure_same(&join(waiting)?, read)
    })
}

fn what_came_before_is_not(subject: &Subject) -> Result<(), Fault> {
    for n in 0..10 {
        subject.say(&format!("before {n}"), &["a"])?;
    }
    let mut reader = subject.subscribe(&["a"])?;
    let mut with_empty_id = subject.resume(&["a"], "")?;
    subject.say("after", &["a"])?;
    ensure_same(&[reader.event()?.data()], &["after"])?;
    ensure_same(&[with_empty_id.event()?.data()], &["after"])
        .map_err(|fault| fault.at("with an empty last event id"))
}

fn topics_are_apart(subject: &Subject) -> Result<(), Fault> {
    let topics = ["", "a", "A", "b", "ab", "a.b", "a b", " a", "ä", "a\u{308}", "漢字"];
    let mut readers: Vec<_> =
        topics.iter().map(|topic| subject.subscribe(&[topic])).collect::<Result<_, _>>()?;
    for topic in topics {
        subject.say(&format!("to {topic:?}"), &[topic])?;
    }
    subject.say("to all", &topics)?;
    for (topic, reader) in topics.iter().zip(&mut readers) {
        ensure_same(&reader.data_until("to all")?, &[format!("to {topic:?}")])
            .map_err(|fault| fault.at(format!("of topic {topic:?}")))?;
    }
    Ok(())
}

fn several_topics_once(subject: &Subject) -> Result<(), Fault> {
    let mut three = subject.subscribe(&["a", "b", "a", "c"])?;
    let mut one = subject.subscribe(&["b"])?;
    subject.say("to two of three", &["a", "b"])?;
    subject.say("to one", &["c"])?;
    subject.say("to one, by name twice", &["b", "b"])?;
    subject.say("to three and another", &["d", "c", "b", "a"])?;
    subject.say("last", &["b"])?;
    let all = ["to two of three", "to one", "to one, by name twice", "to three and another"];
    ensure_same(&three.data_until("last")?, &all)?;
    ensure_same(&one.data_until("last")?, &[all[0], all[2], all[3]])
}

fn items_are_whole_events(subject: &Subject) -> Result<(), Fault> {
    let mut reader = subject.subscribe(&["a"])?;
    let long = format!("two\nlines, {}", "and a long one ".repeat(10_000));
    for data in ["short", "two\nlines", &long, "another"] {
        subject.publish(&Message::new(data).comment("and a comment"), &["a"])?;
    }
    subject.shutdown().map_err(|error| Fault::new(error.to_string()))?;
    while let Some(item) = reader.next_item()? {
        let item = item.map_err(|_| Fault::new("the subscription ended as overtaken"))?;
        let whole = [&b"\n\n"[..], b"\r\n\r\n", b"\r\r"].iter().any(|end| item.ends_with(end));
        ensure!(whole, "an item of {} bytes does not end with an event's end", item.len());
    }
    Ok(())
}

/// Counts how often a task would have been woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn dropping_is_the_end(subject: &Subject) -> Result<(), Fault> {
    const PUBLISHED: usize = 5;
    let mut other = subject.subscribe(&["a"])?;
    let subscribed = subject.try_subscribe(&SubscribeRequest::to(&["a"]));
    let mut dropped = subscribed.map_err(|error| Fault::new(error.to_string()))?;
    let wakes = Arc::new(Wakes::default());
    let polled = poll(&mut dropped, &Waker::from(Arc::clone(&wakes)));
    ensure!(polled.is_pending(), "before anything was published, a poll gave {polled:?}");
    drop(dropped);
    for n in 0..PUBLISHED {
        let counted = subject.say(&format!("event {n}"), &["a"])?.subscribers();
        ensure!(!subject.counts() || counted == 1, "one of two dropped, {counted} were counted");
    }
    let events: Vec<_> = (0..PUBLISHED).map(|n| format!("event {n}")).collect();
    ensure_same(&data(other.take(PUBLISHED)?), &events)?;
    // Once it may: a queue says that it has ended.
    let woken = wakes.0.load(Ordering::Relaxed);
    ensure!(woken < PUBLISHED, "its task was woken {woken} times for {PUBLISHED} messages");
    let mut next = subject.subscribe(&["a"])?;
    subject.say("to the next", &["a"])?;
    ensure_same(&[next.event()?.data()], &["to the next"])
}

fn poll(
    subscription: &mut Subscription,
    waker: &Waker,
) -> Poll<Option<Result<bytes::Bytes, crate::log::Overtaken>>> {
    Pin::new(subscription).poll_next(&mut Context::from_waker(waker))
}

/// Messages to somebody who does not read, and bytes of each.
const UNREAD: usize = 10_000;
const UNREAD_BYTES: usize = 200;

fn unread(n: usize) -> String {
    format!("unread {n:0UNREAD_BYTES$}")
}

fn who_does_not_read(subject: &Subject) -> Result<(), Fault> {
    const READ_AT_ONCE: usize = 50;
    let late = subject.subscribe(&["a"])?;
    let mut reader = subject.subscribe(&["a"])?;
    for n in 0..UNREAD {
        subject.say(&unread(n), &["a"])?;
        if (n + 1).is_multiple_of(READ_AT_ONCE) {
            let due: Vec<_> = (n + 1 - READ_AT_ONCE..=n).map(unread).collect();
            ensure_same(&data(reader.take(READ_AT_ONCE)?), &due)
                .map_err(|fault| fault.at("of one who reads"))?;
        }
    }
    subject.say("last", &["a"])?;
    is_told(late).map_err(|fault| fault.at("of one who reads only then"))
}

fn is_told(mut late: Reader) -> Result<(), Fault> {
    let mut due = 0;
    let mut told = false;
    loop {
        let event = match late.next()? {
            Next::Overtaken => return Ok(()),
            Next::End => return Err(Fault::new(format!("it ended in order after {due} events"))),
            Next::Event(event) => event,
        };
        if event.event_type() == GAP_EVENT {
            told = true;
            continue;
        }
        let number = event.data().strip_prefix("unread ").and_then(|number| number.parse().ok());
        let number = number.unwrap_or(UNREAD);
        ensure!(number == due || told && number > due, "{number} came where {due} was due");
        if number == UNREAD {
            return Ok(());
        }
        (due, told) = (number + 1, false);
    }
}

fn the_log_has_it_all(subject: &Subject) -> Result<(), Fault> {
    let local = subject.provider().local().ok_or_else(|| Fault::new("the Log is gone"))?;
    let request = SubscribeRequest::to(&["a", "b"]);
    let from_log = local.subscribe(&request).map_err(|error| Fault::new(error.to_string()))?;
    let mut from_log = subject.reader(Subscription::new(from_log));
    let mut reader = subject.request(&request)?;
    for (data, topic) in [("one", "a"), ("two", "b"), ("three", "a")] {
        subject.say(data, &[topic])?;
        let (got, logged) = (reader.event()?, from_log.event()?);
        ensure!(got == logged, "the Log has {logged:?} for what came as {got:?}");
    }
    ensure!(!local.is_closed(), "the Log is closed before the provider");
    subject.shutdown().map_err(|error| Fault::new(error.to_string()))?;
    ensure!(local.is_closed(), "the provider was shut down, and its Log is not");
    Ok(())
}
