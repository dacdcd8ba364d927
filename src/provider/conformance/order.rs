//! One order for everybody, whoever publishes.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use super::{
    MESSAGES_BEHIND, Need, Rule,
    reader::{data, ensure_same},
    subject::{Fault, Subject, ensure, join},
};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "one order",
        text: "There is one order of all messages, each publisher's own kept, and every subscriber \
               sees its own in that order.",
        needs: Need::Nothing,
        check: one_order,
    },
    Rule {
        name: "later is after",
        text: "A message whose publishing began after another one's had returned comes after it.",
        needs: Need::Nothing,
        check: later_is_after,
    },
    Rule {
        name: "joining while others publish",
        text: "Whatever is published after `subscribe` has returned, a subscription gets, without \
               a hole, whatever others publish meanwhile.",
        needs: Need::Nothing,
        check: joining_while_others_publish,
    },
];

const PUBLISHERS: usize = 4;
const ROUNDS: usize = 20;

/// What a subscriber may be behind in one round, so that a bounded queue is as good as a log.
const PER_ROUND: usize = MESSAGES_BEHIND / 2;

fn one_order(subject: &Subject) -> Result<(), Fault> {
    let selections: [&[&str]; 4] = [&["even", "odd"], &["odd", "even", "odd"], &["even"], &["odd"]];
    let mut readers: Vec<_> =
        selections.iter().map(|topics| subject.subscribe(topics)).collect::<Result<_, _>>()?;
    let mut orders: [Vec<String>; 4] = Default::default();
    for round in 0..ROUNDS {
        let each = PER_ROUND / PUBLISHERS;
        thread::scope(|scope| {
            let reading: Vec<_> = readers
                .iter_mut()
                .zip(selections)
                .map(|(reader, topics)| {
                    let due = PER_ROUND / if topics.len() == 1 { 2 } else { 1 };
                    subject.spawn(scope, move || reader.take(due).map(data))
                })
                .collect();
            let publishing: Vec<_> = (0..PUBLISHERS)
                .map(|by| {
                    let numbers = round * each..(round + 1) * each;
                    subject.spawn(scope, move || publish(subject, by, numbers))
                })
                .collect();
            publishing.into_iter().try_for_each(join)?;
            for (order, reading) in orders.iter_mut().zip(reading) {
                order.extend(join(reading)?);
            }
            Ok(())
        })?;
    }
    check_orders(&orders)
}

/// The message `<publisher>:<number>`, to the topic that the number says.
fn publish(
    subject: &Subject,
    by: usize,
    numbers: impl IntoIterator<Item = usize>,
) -> Result<(), Fault> {
    numbers.into_iter().try_for_each(|n| {
        let topic = if n % 2 == 0 { "even" } else { "odd" };
        subject.say(&format!("{by}:{n}"), &[topic]).map(drop)
    })
}

fn parse(data: &str) -> Result<(usize, usize), Fault> {
    let parts = data.split_once(':').and_then(|(by, n)| Some((by.parse().ok()?, n.parse().ok()?)));
    parts.ok_or_else(|| Fault::new(format!("{data:?} came, which nobody published")))
}

fn check_orders(orders: &[Vec<String>; 4]) -> Result<(), Fault> {
    let [all, again, even, odd] = orders;
    for by in 0..PUBLISHERS {
        let prefix = format!("{by}:");
        let own: Vec<_> = all.iter().filter(|data| data.starts_with(&prefix)).collect();
        let due: Vec<_> =
            (0..PER_ROUND / PUBLISHERS * ROUNDS).map(|n| format!("{by}:{n}")).collect();
        ensure_same(&own, &due).map_err(|fault| fault.at(format!("publisher {by}")))?;
    }
    let second = |fault: Fault| fault.at("one subscriber's order is not another's");
    ensure_same(again, all).map_err(second)?;
    for (order, parity) in [(even, 0), (odd, 1)] {
        let selected = all.iter().filter(|data| parse(data).is_ok_and(|(_, n)| n % 2 == parity));
        ensure_same(order, &selected.collect::<Vec<_>>()).map_err(second)?;
    }
    Ok(())
}

fn later_is_after(subject: &Subject) -> Result<(), Fault> {
    let mut reader = subject.subscribe(&["a", "b"])?;
    let baton: Vec<_> = (0..200).map(|n| format!("hand {n}")).collect();
    for (n, hand) in baton.iter().enumerate() {
        // Each from a thread of its own, which has ended before the next begins.
        thread::scope(|scope| {
            let topic = if n % 2 == 0 { "a" } else { "b" };
            join(subject.spawn(scope, || subject.say(hand, &[topic]).map(drop)))
        })?;
    }
    ensure_same(&data(reader.take(baton.len())?), &baton)
}

/// How many messages others may publish: so fast, but no further ahead than a reader may be behind.
#[derive(Default)]
pub(super) struct Credit {
    left: AtomicUsize,
    over: AtomicBool,
}

impl Credit {
    pub(super) fn grant(&self, messages: usize) {
        self.left.fetch_add(messages, Ordering::Relaxed);
    }

    /// So many, and what was left is no more.
    fn renew(&self, messages: usize) {
        self.left.store(messages, Ordering::Relaxed);
    }

    /// Lets others publish until so many are left; not for ever, since they may have failed.
    fn wait_until(&self, left: usize) {
        for _ in 0..10_000 {
            if self.left.load(Ordering::Relaxed) <= left {
                return;
            }
            thread::yield_now();
        }
    }

    /// What is left is not used any more.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Publishes as long as there is credit, and gives how many there were.
    pub(super) fn publish(&self, subject: &Subject, by: usize) -> Result<usize, Fault> {
        let mut published = 0;
        while !self.over.load(Ordering::Relaxed) {
            let one_less = |left: usize| left.checked_sub(1);
            let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
            if left.is_err() {
                thread::yield_now();
                continue;
            }
            publish(subject, by, [published])?;
            published += 1;
        }
        Ok(published)
    }
}

/// Ends the publishers also where their rule fails.
pub(super) struct EndOnDrop<'c>(pub(super) &'c Credit);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Fails where the messages that one publisher numbered have a hole, come twice, or change places.
#[derive(Debug, Default)]
pub(super) struct Continuity {
    next: [Option<usize>; PUBLISHERS],
}

impl Continuity {
    /// One that must see every message from the first.
    pub(super) fn from_the_first() -> Self {
        Self { next: [Some(0); PUBLISHERS] }
    }

    pub(super) fn see(&mut self, data: &str) -> Result<(), Fault> {
        let (by, n) = parse(data)?;
        let next = self.next.get_mut(by).ok_or_else(|| Fault::new("a publisher too many"))?;
        let due = next.unwrap_or(n);
        ensure!(n == due, "{by}:{n} came where {by}:{due} was due");
        *next = Some(n + 1);
        Ok(())
    }

    /// How many of a publisher's messages have been seen.
    pub(super) fn seen(&self, by: usize) -> usize {
        self.next[by].unwrap_or(0)
    }
}

fn joining_while_others_publish(subject: &Subject) -> Result<(), Fault> {
    const JOINS: usize = 50;
    let credit = Credit::default();
    thread::scope(|scope| {
        let ended = EndOnDrop(&credit);
        let publishing: Vec<_> = (0..2)
            .map(|by| {
                subject.spawn(scope, {
                    let credit = &credit;
                    move || credit.publish(subject, by)
                })
            })
            .collect();
        for n in 0..JOINS {
            credit.renew(PER_ROUND);
            let mut reader = subject.subscribe(&["odd", "even"])?;
            credit.wait_until(PER_ROUND / 2);
            let mark = format!("mark {n}");
            subject.say(&mark, &["odd"])?;
            let mut continuity = Continuity::default();
            for event in reader.until(&mark)? {
                continuity.see(event.data())?;
            }
        }
        drop(ended);
        publishing.into_iter().try_for_each(|publishing| join(publishing).map(drop))
    })
}
