//! Going on after an id: what was missed, exactly, and then what is live.

use std::thread;

use super::{
    MESSAGES_BEHIND, Need, Rule, UnknownId,
    order::{Continuity, Credit, EndOnDrop},
    publishing::id,
    reader::{Reader, data, ensure_same},
    subject::{Fault, Subject, ensure, join},
};
use crate::{
    provider::GAP_EVENT,
    sse::{Event, Message},
};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "exactly what follows an id",
        text: "A subscription with a last event id that is known gets what was published to its \
               topics after that message, which may have been to others, and nothing else.",
        needs: Need::Replay,
        check: exactly_what_follows,
    },
    Rule {
        name: "nothing follows the newest id",
        text: "Whoever has seen the newest message is replayed nothing, however full the history is.",
        needs: Need::Replay,
        check: nothing_follows_the_newest,
    },
    Rule {
        name: "own ids are followed",
        text: "After a message's own id comes what follows that message, or word that the id is \
               not known.",
        needs: Need::Replay,
        check: own_ids_are_followed,
    },
    Rule {
        name: "forgotten ids",
        text: "Whoever asks for what follows a forgotten message is told of a gap before anything \
               else, or gets only what is published from then on.",
        needs: Need::Replay,
        check: forgotten_ids,
    },
    Rule {
        name: "unknown ids",
        text: "Whoever asks for what follows an id that was never given is told of a gap before \
               anything else, or gets only what is published from then on.",
        needs: Need::Replay,
        check: unknown_ids,
    },
    Rule {
        name: "no seam between replay and live",
        text: "Between what is replayed and what is live nothing is missed and nothing comes twice.",
        needs: Need::Replay,
        check: no_seam,
    },
];

fn numbered(n: usize) -> String {
    format!("number {n}")
}

fn even_or_odd(n: usize) -> &'static str {
    if n.is_multiple_of(2) { "even" } else { "odd" }
}

fn exactly_what_follows(subject: &Subject) -> Result<(), Fault> {
    let count = (subject.replay().remembers - 1).min(40);
    let ids: Vec<_> = (0..count)
        .map(|n| subject.say_for_id(&numbered(n), &[even_or_odd(n)]))
        .collect::<Result<_, _>>()?;
    let mut readers = Vec::new();
    // What follows the newest is another rule's.
    for (n, id) in ids.iter().enumerate().take(count.saturating_sub(1)) {
        readers.push((n, 2, subject.resume(&["even"], id)?));
        readers.push((n, 1, subject.resume(&["odd", "even"], id)?));
    }
    subject.say("last", &["even", "odd"])?;
    for (n, step, mut reader) in readers {
        let due = (n + 1..count).filter(|n| n.is_multiple_of(step)).map(numbered);
        ensure_same(&reader.data_until("last")?, &due.collect::<Vec<_>>())
            .map_err(|fault| fault.at(format!("after message {n} of {count}")))?;
    }
    Ok(())
}

fn nothing_follows_the_newest(subject: &Subject) -> Result<(), Fault> {
    let mut waiting: Option<Reader> = None;
    // Past the point where the oldest are forgotten, and round once more if it is soon.
    for n in 0..subject.replay().forgets + MESSAGES_BEHIND {
        let id = subject.say_for_id(&numbered(n), &[even_or_odd(n)])?;
        if let Some(mut reader) = waiting.take() {
            ensure_same(&[reader.event()?.data()], &[numbered(n)])
                .map_err(|fault| fault.at(format!("after the newest of {n} messages")))?;
        }
        // The next one is to this topic; every other time also the one that has been seen.
        let topics: &[&str] = if n % 4 < 2 { &[even_or_odd(n + 1)] } else { &["even", "odd"] };
        waiting = Some(subject.resume(topics, &id)?);
    }
    Ok(())
}

fn own_ids_are_followed(subject: &Subject) -> Result<(), Fault> {
    let count = (subject.replay().remembers - 1).min(12);
    let own = |n: usize| format!("own {n}");
    for n in 0..count {
        let message = Message::new(numbered(n));
        let message = if n.is_multiple_of(2) { message.id(id(&own(n))) } else { message };
        subject.publish(&message, &["a"])?;
    }
    let mut readers: Vec<_> = (0..count)
        .step_by(2)
        .map(|n| Ok((n, subject.resume(&["a"], &own(n))?)))
        .collect::<Result<_, _>>()?;
    subject.say("last", &["a"])?;
    for (n, reader) in &mut readers {
        let events = reader.until("last")?;
        let known = events.first().is_none_or(|first| first.event_type() != GAP_EVENT);
        if known {
            let due: Vec<_> = (*n + 1..count).map(numbered).collect();
            ensure_same(&data(events), &due)
                .map_err(|fault| fault.at(format!("after {}", own(*n))))?;
        }
    }
    Ok(())
}

fn forgotten_ids(subject: &Subject) -> Result<(), Fault> {
    let id = subject.say_for_id(&numbered(0), &["a"])?;
    // The one after it must be forgotten too: what follows it is then lost.
    let count = subject.replay().forgets + 2;
    for n in 1..count {
        subject.say(&numbered(n), &["a"])?;
    }
    let mut reader = subject.resume(&["a"], &id)?;
    subject.say("last", &["a"])?;
    check_unknown(subject, &reader.until("last")?, count)
}

fn unknown_ids(subject: &Subject) -> Result<(), Fault> {
    ["what", "00000000-1", "-", "-1", "18446744073709551616", "漢 \"x\"", " "]
        .into_iter()
        .try_for_each(|unknown| {
            unknown_id(&subject.fresh(), unknown)
                .map_err(|fault| fault.at(format!("after id {unknown:?}")))
        })
}

fn unknown_id(subject: &Subject, unknown: &str) -> Result<(), Fault> {
    let count = (subject.replay().remembers - 1).min(10);
    (0..count).try_for_each(|n| subject.say(&numbered(n), &["a"]).map(drop))?;
    let mut reader = subject.resume(&["a"], unknown)?;
    subject.say("last", &["a"])?;
    let events = reader.until("last")?;
    check_unknown(subject, &events, count)?;
    let Some((gap, remembered)) = events.split_first() else { return Ok(()) };
    if gap.last_event_id().is_empty() {
        return Ok(());
    }
    // Whoever has seen only the gap goes on after it, not into another.
    let mut again = subject.resume(&["a"], gap.last_event_id())?;
    ensure_same(&again.data_until("last")?, &data(remembered.to_vec()))
        .map_err(|fault| fault.at("after its gap event"))
}

/// What comes after an id that is not known, when `count` messages have been published.
fn check_unknown(subject: &Subject, events: &[Event], count: usize) -> Result<(), Fault> {
    let got: Vec<_> = events.iter().map(Event::data).collect();
    match (subject.replay().unknown_id, events.split_first()) {
        (UnknownId::Live, _) => ensure_same(&got, &[""; 0]),
        (UnknownId::Gap, Some((gap, _))) if gap.event_type() == GAP_EVENT => {
            let remembered = &got[1..];
            ensure!(remembered.len() <= count, "more was replayed than was published");
            let due: Vec<_> = (count - remembered.len()..count).map(numbered).collect();
            ensure_same(remembered, &due)
        }
        (UnknownId::Gap, first) => {
            let first = first.map(|(event, _)| event.data());
            Err(Fault::new(format!("no gap was told: {first:?} came first")))
        }
    }
}

fn no_seam(subject: &Subject) -> Result<(), Fault> {
    const RECONNECTS: usize = 300;
    let ahead = (subject.replay().remembers / 2).min(MESSAGES_BEHIND / 2);
    let credit = Credit::default();
    let mut reader = subject.subscribe(&["even", "odd"])?;
    let mut seen = Continuity::from_the_first();
    let published = thread::scope(|scope| {
        let ended = EndOnDrop(&credit);
        let publishing = [0, 1].map(|by| {
            let credit = &credit;
            subject.spawn(scope, move || credit.publish(subject, by))
        });
        credit.grant(ahead);
        for n in 0..RECONNECTS {
            // Now a few of what is replayed, and now all that may be published: beyond the seam.
            let few = 1 + n % ahead.min(7);
            let events = reader.take(if n.is_multiple_of(2) { few } else { ahead })?;
            for event in &events {
                seen.see(event.data()).map_err(|fault| fault.at(format!("connection {n}")))?;
            }
            let last = events.last().map(Event::last_event_id).unwrap_or_default();
            // From here on they publish, while it subscribes.
            credit.grant(events.len());
            reader = subject.resume(&["even", "odd"], last)?;
        }
        drop(ended);
        let [one, two] = publishing;
        Ok([join(one)?, join(two)?])
    })?;
    subject.say("last", &["even"])?;
    for event in reader.until("last")? {
        seen.see(event.data()).map_err(|fault| fault.at("the last connection"))?;
    }
    let got = [seen.seen(0), seen.seen(1)];
    ensure!(got == published, "of {published:?} messages, {got:?} came");
    Ok(())
}
