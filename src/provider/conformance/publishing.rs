//! What may be published, what becomes of it, and what the publisher is told.

use std::{collections::HashSet, time::Duration};

use super::{
    Need, Rule,
    reader::ensure_same,
    subject::{Fault, Subject, ensure},
};
use crate::{
    limits,
    provider::{Publication, PublishError, SubscribeError, SubscribeRequest},
    sse::{EventId, EventType, Line, Message},
};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "no topics",
        text: "No topics is an error, of publishing and of subscribing, before anything else is \
               looked at: also of a provider that has been shut down.",
        needs: Need::Nothing,
        check: no_topics,
    },
    Rule {
        name: "refused by the limits",
        text: "What `Publication::check` and `SubscribeRequest::check` refuse is refused, with \
               their error, and reaches nobody.",
        needs: Need::Nothing,
        check: refused_by_the_limits,
    },
    Rule {
        name: "published twice",
        text: "The message is the caller's still, and may be published again: it arrives again.",
        needs: Need::Nothing,
        check: published_twice,
    },
    Rule {
        name: "content arrives as it was",
        text: "Data, comments, type, own id and retry arrive as they were given, line ends but for \
               their kind.",
        needs: Need::Nothing,
        check: content_arrives_as_it_was,
    },
    Rule {
        name: "receipts name the ids",
        text: "A receipt's id is the one the message went out with, its own if it has one; one \
               that is given is given once.",
        needs: Need::Nothing,
        check: receipts_name_the_ids,
    },
    Rule {
        name: "receipts count subscribers",
        text: "A receipt counts the subscribers of the message's topic when it was published.",
        needs: Need::Counts,
        check: receipts_count_subscribers,
    },
];

fn no_topics(subject: &Subject) -> Result<(), Fault> {
    let message = Message::new("x");
    let publication = Publication { message: &message, topics: &[] };
    let request = SubscribeRequest::to(&[""; 0]);
    for state in ["open", "shut down"] {
        let published = subject.try_publish(&message, &[]);
        let in_batch = subject.try_publish_batch(&[publication]);
        let subscribed = subject.try_subscribe(&request);
        let no_topics = Some(PublishError::NoTopics);
        ensure!(published.err() == no_topics, "{state}, publish did not fail by NoTopics");
        ensure!(in_batch.err() == no_topics, "{state}, publish_batch did not fail by NoTopics");
        ensure!(
            subscribed.err() == Some(SubscribeError::NoTopics),
            "{state}, subscribe did not fail by NoTopics"
        );
        let _ = subject.shutdown();
    }
    Ok(())
}

fn refused_by_the_limits(subject: &Subject) -> Result<(), Fault> {
    let mut reader = subject.subscribe(&["a"])?;
    let fine = Message::new("fine");
    let reserved = Message::new("x").event(event_type("fanfare.gap"));
    let large = Message::new("x".repeat(limits::MESSAGE_BYTES_MAX));
    let long = "x".repeat(limits::TOPIC_BYTES_MAX + 1);
    let many = vec!["a"; limits::TOPICS_PER_MESSAGE_MAX + 1];
    for (message, topics) in [
        (&fine, &["a", "b\n"][..]),
        (&fine, &["a", &long]),
        (&fine, &many),
        (&reserved, &["a"]),
        (&Message::empty(), &["a"]),
        (&large, &["a"]),
    ] {
        let fault = Publication { message, topics }.check().expect_err("it is over a limit");
        let error = subject.try_publish(message, topics).err();
        ensure!(error.as_ref() == Some(&fault), "publish gave {error:?}, not {fault:?}");
    }
    let many = vec!["a"; limits::TOPICS_PER_SUBSCRIPTION_MAX + 1];
    for topics in [&["a", "b\n"][..], &["a", &long], &many] {
        let request = SubscribeRequest::to(topics);
        let fault = request.check().expect_err("it is over a limit");
        let error = subject.try_subscribe(&request).err();
        ensure!(error.as_ref() == Some(&fault), "subscribe gave {error:?}, not {fault:?}");
    }
    subject.say("last", &["a"])?;
    ensure_same(&reader.data_until("last")?, &[""; 0])
}

fn published_twice(subject: &Subject) -> Result<(), Fault> {
    let mut reader = subject.subscribe(&["a"])?;
    let own = Message::new("with an id").id(id("own"));
    for message in [&Message::new("without an id"), &own] {
        subject.publish(message, &["a"])?;
        subject.publish(message, &["a"])?;
    }
    subject.say("last", &["a"])?;
    let expected = ["without an id", "without an id", "with an id", "with an id"];
    ensure_same(&reader.data_until("last")?, &expected)
}

fn content_arrives_as_it_was(subject: &Subject) -> Result<(), Fault> {
    let mut reader = subject.subscribe(&["a"])?;
    let long = "long ".repeat(10_000);
    for data in [
        "",
        " ",
        "one",
        " leading",
        "trailing ",
        "two\nlines",
        "a final newline\n",
        "\n",
        "\n\n",
        "\n leading",
        "data: x",
        ": x",
        "id: 7",
        "tab\tand\u{b}\u{c}\u{1b}",
        "naïve 漢字 🎺 e\u{301}",
        "\u{feff}mark",
        "not lines \u{85}\u{2028}\u{2029}",
        &long,
    ] {
        subject.say(data, &["a"])?;
        let event = reader.event()?;
        ensure!(event.data() == data, "data {data:?} arrived as {:?}", event.data());
        ensure!(event.event_type() == "message", "an event came as {:?}", event.event_type());
    }
    subject.say("\ra\rb\r\nc", &["a"])?;
    let event = reader.event()?;
    ensure!(event.data() == "\na\nb\nc", "line ends arrived as {:?}", event.data());
    fields_arrive(subject)
}

fn fields_arrive(subject: &Subject) -> Result<(), Fault> {
    let mut reader = subject.subscribe(&["a"])?;
    for (own, kind) in [("7", "price"), (" ö 漢", " é: "), ("a-b", "message")] {
        subject.publish(&Message::new("x").id(id(own)).event(event_type(kind)), &["a"])?;
        let event = reader.event()?;
        let got = (event.last_event_id(), event.event_type());
        ensure!(got == (own, kind), "id and type {:?} arrived as {got:?}", (own, kind));
    }
    // What is no event to a client still has its place in the stream.
    let comment = Message::empty().comment(" still here\n漢");
    subject.publish(&comment, &["a"])?;
    subject.publish(&Message::empty().retry(Duration::from_millis(1234)), &["a"])?;
    subject.say("last", &["a"])?;
    ensure_same(&reader.data_until("last")?, &[""; 0])?;
    let sent: Vec<_> = comment.lines().map(Line::text).collect();
    // One space after the colon is the format's.
    let unspaced = |text: &String| text.strip_prefix(' ').unwrap_or(text).to_owned();
    let got: Vec<_> = reader.comments().iter().map(unspaced).collect();
    ensure_same(&got, &sent).map_err(|fault| fault.at("of the comments"))?;
    let retry = reader.reconnection_time();
    ensure!(retry == Some(Duration::from_millis(1234)), "a retry of 1234 ms arrived as {retry:?}");
    Ok(())
}

fn receipts_name_the_ids(subject: &Subject) -> Result<(), Fault> {
    let mut reader = subject.subscribe(&["a", "b"])?;
    let mut given = HashSet::new();
    let mut last = String::new();
    for n in 0..40 {
        let own = n % 3 == 0;
        let message = Message::new(format!("message {n}"));
        let message = if own { message.id(id(&format!("own {n}"))) } else { message };
        let receipt = subject.publish(&message, &[if n % 2 == 0 { "a" } else { "b" }])?;
        let event = reader.event()?;
        match receipt.id() {
            Some(id) => {
                last = id.into();
                ensure!(given.insert(last.clone()), "the id {last:?} was given twice");
                ensure!(!own || last == format!("own {n}"), "an own id became {last:?}");
            }
            None => ensure!(!own, "the receipt of a message with an id of its own has none"),
        }
        let got = event.last_event_id();
        ensure!(got == last, "message {n} arrived with id {got:?}, its receipt says {last:?}");
    }
    Ok(())
}

fn receipts_count_subscribers(subject: &Subject) -> Result<(), Fault> {
    let mut readers = Vec::new();
    for expected in 0..5 {
        let count = subject.say(&format!("to {expected}"), &["a"])?.subscribers();
        ensure!(count == expected, "{expected} subscribers were counted as {count}");
        let elsewhere = subject.say(&format!("not to {expected}"), &["b"])?.subscribers();
        ensure!(elsewhere == 0, "a topic without subscribers was counted as {elsewhere}");
        readers.push(subject.subscribe(&["a"])?);
    }
    let several = subject.subscribe(&["a", "c", "a"])?;
    let count = subject.say("x", &["c"])?.subscribers();
    ensure!(count == 1, "one subscriber of several topics was counted as {count}");
    drop((readers, several));
    Ok(())
}

pub(super) fn id(text: &str) -> EventId {
    EventId::new(text).expect("it is a valid id")
}

fn event_type(text: &str) -> EventType {
    EventType::new(text).expect("it is a valid type")
}
