//! The provider beside a model of its contract: whatever is done to both, each subscriber gets the
//! same bytes from both, and each call the same answer.
//!
//! The model keeps every message there ever was, and finds everything by scanning. All it asks the
//! provider for is the Log's tail, and, where a quiet topic's past is retired and may have been
//! forgotten with its topic, whether there was a gap. `PROPTEST_CASES` sets how many cases are run.

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use proptest::{prelude::*, sample::select, test_runner::TestCaseResult};

use super::{replay::Hand, *};
use crate::log::Overtaken;

const CASES_DEFAULT: u32 = 150;
static NAMES: [&str; 5] = ["a", "b", "a/b", "a/c", "a/b/c"];
static SELECTIONS: [&str; 10] = ["a", "b", "a/b", "a/c", "a/b/c", "*", "a/*", "**", "a/**", "*/b"];

/// What a subscriber says it saw last.
#[derive(Clone, Debug)]
enum Seen {
    Nothing,
    /// The id that the message so many before the newest went out with.
    Back(usize),
    /// The place of a message, counted from the first.
    Place(u64),
    /// A place that is so far ahead of the head.
    Ahead(u64),
    OtherEpoch,
    Unknown,
}

/// An id that a message brings.
#[derive(Clone, Debug)]
enum Brought {
    None,
    /// One that nobody has brought before.
    New,
    /// One of few.
    Of(u8),
    /// One that the provider gives.
    Reserved,
}

type Draft = (usize, Brought, Vec<&'static str>);

#[derive(Clone, Debug)]
enum Step {
    Publish(Draft),
    Batch(Vec<Draft>),
    Once(u8, Draft),
    Advance(u64),
    Subscribe(Vec<&'static str>, Seen),
    Read(usize, usize),
    Add(usize, &'static str),
    Remove(usize, &'static str),
    Drop(usize),
    Shutdown,
}

struct Sent {
    id: String,
    topics: Vec<&'static str>,
    bytes: Vec<u8>,
    at: u64,
}

struct Reader {
    subscription: LocalSubscription,
    /// What it selects, and the sequence from which each counts.
    selection: Vec<(&'static str, u64)>,
    gap: Option<Vec<u8>>,
    /// Everything selected before is received.
    next: u64,
    ended: bool,
}

#[derive(Clone, Copy, Debug)]
struct Policy {
    ids: Ids,
    count: Option<u64>,
    age: Option<u64>,
    bytes: Option<u64>,
    after_gap: AfterGap,
}

struct World {
    provider: LocalProvider,
    hand: Hand,
    now: u64,
    policy: Policy,
    sent: Vec<Sent>,
    /// The message that an own id means.
    own: HashMap<String, u64>,
    once: HashMap<u8, (u64, String, Vec<Receipt>)>,
    readers: Vec<Reader>,
    brought: u32,
    closed: bool,
}

/// Whether a pattern, or a name, stands for a topic.
fn is_for(pattern: &[&str], topic: &[&str]) -> bool {
    match (pattern, topic) {
        ([], []) => true,
        (["**"], [_, ..]) => true,
        (["*", pattern @ ..], [_, topic @ ..]) => is_for(pattern, topic),
        ([same, pattern @ ..], [segment, topic @ ..]) => same == segment && is_for(pattern, topic),
        _ => false,
    }
}

fn selects(selection: &str, topics: &[&str]) -> bool {
    let segments = |name| str::split(name, '/').collect::<Vec<_>>();
    topics.iter().any(|topic| is_for(&segments(selection), &segments(topic)))
}

impl Reader {
    fn wants(&self, sequence: u64, sent: &Sent) -> bool {
        let selected =
            |(name, from): &(&str, u64)| *from <= sequence && selects(name, &sent.topics);
        self.next <= sequence && self.selection.iter().any(selected)
    }
}

impl World {
    fn new(policy: Policy) -> Self {
        let mut replay = Replay::everything();
        replay = policy.count.map_or(replay, |count| replay.last(count));
        replay = policy.age.map_or(replay, |age| replay.younger_than(Duration::from_secs(age)));
        replay = policy.bytes.map_or(replay, |bytes| replay.bytes(bytes));
        let hand = Hand::default();
        let provider = LocalProvider::builder()
            .history_bytes(limits::HISTORY_BYTES_MIN)
            .ids(policy.ids)
            .replay(replay)
            .after_gap(policy.after_gap)
            .clock(hand.clock())
            .build();
        Self {
            provider,
            hand,
            now: 0,
            policy,
            sent: Vec::new(),
            own: HashMap::new(),
            once: HashMap::new(),
            readers: Vec::new(),
            brought: 0,
            closed: false,
        }
    }

    fn head(&self) -> u64 {
        self.sent.len() as u64 + 1
    }

    fn tail(&self) -> u64 {
        self.provider.log().tail().number()
    }

    fn automatic(&self, place: u64) -> String {
        format!("{:08x}-{place}", self.provider.log().epoch())
    }

    fn known(&self, own: &str) -> Option<u64> {
        self.own.get(own).copied().filter(|sequence| *sequence >= self.tail())
    }

    /// The first message that may be replayed: everything from there on may.
    fn first_replayable(&self) -> u64 {
        let (mut first, mut count, mut bytes) = (self.head(), 0, 0);
        for sent in self.sent.iter().rev() {
            count += 1;
            bytes += (format!("{:x}", sent.bytes.len()).len() + 4 + sent.bytes.len()) as u64;
            let is_over = self.policy.count.is_some_and(|max| count > max)
                || self.policy.bytes.is_some_and(|max| bytes > max)
                || self.policy.age.is_some_and(|age| self.now - sent.at >= age);
            if is_over || first <= self.tail() {
                break;
            }
            first -= 1;
        }
        first
    }

    fn message(&mut self, (len, brought, _): &Draft) -> (Message, Option<String>) {
        let own = match brought {
            Brought::None => None,
            Brought::New => {
                self.brought += 1;
                Some(format!("new {}", self.brought))
            }
            Brought::Of(which) => Some(format!("own {which}")),
            Brought::Reserved => Some(self.automatic(7)),
        };
        let message = Message::new("x".repeat(*len));
        match &own {
            Some(id) => (message.id(EventId::new(id).unwrap()), own),
            None => (message, None),
        }
    }

    /// What is wrong with a message by itself.
    fn fault(&self, own: Option<&str>, topics: &[&str]) -> Option<PublishError> {
        if topics.is_empty() {
            return Some(PublishError::NoTopics);
        }
        if topics.contains(&"a/*") {
            return Some(PublishError::Topic(TopicError::Pattern));
        }
        match (self.policy.ids, own) {
            (Ids::Own, None) => Some(PublishError::NoEventId),
            (Ids::Automatic, Some(_)) => Some(PublishError::OwnEventId),
            (_, Some(own)) if own == self.automatic(7) => Some(PublishError::ReservedEventId),
            _ => None,
        }
    }

    fn expected_fault(&self, batch: &[(Option<String>, &[&str])]) -> Option<PublishError> {
        let fault = batch.iter().find_map(|(own, topics)| self.fault(own.as_deref(), topics));
        let closed = self.closed.then_some(PublishError::Closed(Closed));
        let mut ids = HashSet::new();
        let mut is_taken = |own: &String| !ids.insert(own.clone()) || self.known(own).is_some();
        let taken = batch.iter().filter_map(|(own, _)| own.as_ref()).any(&mut is_taken);
        let duplicate =
            (self.policy.ids == Ids::Own && taken).then_some(PublishError::DuplicateEventId);
        fault.or(closed).or(duplicate)
    }

    fn count(&self, topics: &[&str]) -> u32 {
        let is_on =
            |reader: &&Reader| reader.selection.iter().any(|(name, _)| selects(name, topics));
        self.readers.iter().filter(is_on).count() as u32
    }

    /// Publishes in both; `publish` does so in the provider.
    fn publish(
        &mut self,
        drafts: &[Draft],
        publish: impl FnOnce(&LocalProvider, &[Publication<'_>]) -> Result<Vec<Receipt>, PublishError>,
    ) -> TestCaseResult {
        let messages: Vec<_> = drafts.iter().map(|draft| self.message(draft)).collect();
        let outline: Vec<_> =
            messages.iter().zip(drafts).map(|((_, own), draft)| (own.clone(), &*draft.2)).collect();
        let fault = self.expected_fault(&outline);
        let batch: Vec<_> = messages
            .iter()
            .zip(drafts)
            .map(|((message, _), draft)| Publication { message, topics: &draft.2 })
            .collect();
        let taken: Vec<_> = outline
            .iter()
            .map(|(own, _)| own.as_ref().is_some_and(|own| self.known(own).is_some()))
            .collect();
        let got = publish(&self.provider, &batch);
        if let Some(fault) = fault {
            prop_assert_eq!(got, Err(fault));
            return Ok(());
        }
        let receipts = got.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(receipts.len(), drafts.len());
        for (nth, ((own, topics), receipt)) in outline.iter().zip(&receipts).enumerate() {
            let sequence = self.head();
            let id = own.clone().unwrap_or_else(|| self.automatic(sequence));
            prop_assert_eq!(receipt.id().unwrap().to_string(), id.clone());
            prop_assert_eq!(receipt.subscribers(), self.count(topics));
            prop_assert!(!receipt.is_repeated());
            if own.is_some() && !taken[nth] {
                self.own.insert(id.clone(), sequence);
            }
            let bytes = format!("id: {id}\ndata: {}\n\n", "x".repeat(drafts[nth].0)).into_bytes();
            self.sent.push(Sent { id, topics: drafts[nth].2.clone(), bytes, at: self.now });
        }
        Ok(())
    }

    fn publish_once(&mut self, key: u8, draft: &Draft) -> TestCaseResult {
        // Asked again, it brings the id that it brought before.
        let draft = &match draft {
            (len, Brought::New, topics) => (*len, Brought::Of(key), topics.clone()),
            other => other.clone(),
        };
        let window = limits::IDEMPOTENCY_WINDOW.as_secs();
        let text = format!("key {key}");
        let print = format!("{draft:?}");
        if draft.2.is_empty() {
            let (message, _) = self.message(draft);
            let batch = [Publication { message: &message, topics: &[] }];
            prop_assert_eq!(self.provider.publish_once(&text, &batch), Err(PublishError::NoTopics));
            return Ok(());
        }
        let remembered = self.once.get(&key).filter(|(at, ..)| self.now - at < window);
        if let (false, Some((_, first, receipts))) = (self.closed, remembered) {
            let (first, receipts) = (first.clone(), receipts.clone());
            let (message, _) = self.message(draft);
            let got = self
                .provider
                .publish_once(&text, &[Publication { message: &message, topics: &draft.2 }]);
            if first != print {
                prop_assert_eq!(got, Err(PublishError::IdempotencyKeyReused));
                return Ok(());
            }
            let got = got.map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert!(got.iter().all(Receipt::is_repeated));
            let told = |receipts: &[Receipt]| -> Vec<_> {
                receipts.iter().map(|one| (one.id(), one.subscribers())).collect()
            };
            prop_assert_eq!(told(&got), told(&receipts));
            return Ok(());
        }
        if self.closed {
            let (message, _) = self.message(draft);
            let batch = [Publication { message: &message, topics: &draft.2 }];
            prop_assert_eq!(
                self.provider.publish_once(&text, &batch),
                Err(PublishError::Closed(Closed))
            );
            return Ok(());
        }
        let mut receipts = None;
        self.publish(std::slice::from_ref(draft), |provider, batch| {
            let got = provider.publish_once(&text, batch);
            receipts = got.as_ref().ok().cloned();
            got
        })?;
        if let Some(receipts) = receipts {
            self.once.insert(key, (self.now, print, receipts));
        }
        Ok(())
    }

    /// The id that a subscriber names.
    fn requested(&self, seen: &Seen) -> Option<String> {
        Some(match seen {
            Seen::Nothing => return None,
            Seen::Back(back) => {
                self.sent.len().checked_sub(back + 1).map(|nth| self.sent[nth].id.clone())?
            }
            Seen::Place(place) => self.automatic(*place),
            Seen::Ahead(count) => self.automatic(self.head() + count),
            Seen::OtherEpoch => format!("{:08x}-1", !self.provider.log().epoch()),
            Seen::Unknown => "wh\"at".to_owned(),
        })
    }

    /// What follows an id, or why nobody knows.
    fn after(&self, id: &str) -> Result<u64, &'static str> {
        let ours = format!("{:08x}-", self.provider.log().epoch());
        if let Some(place) = id.strip_prefix(&ours) {
            return Ok(place.parse::<u64>().unwrap() + 1);
        }
        match self.known(id) {
            Some(sequence) => Ok(sequence + 1),
            None if id.ends_with("-1") => Err("epoch"),
            None => Err("unknown"),
        }
    }

    fn gap(&self, requested: &str, reason: &str, first: u64) -> Vec<u8> {
        let (before, first) = (self.automatic(first - 1), self.automatic(first));
        let requested = requested.replace('"', "\\\"");
        format!(
            "id: {before}\nevent: fanfare.gap\ndata: {{\"requested\":\"{requested}\",\
             \"first_available\":\"{first}\",\"reason\":\"{reason}\"}}\n\n"
        )
        .into_bytes()
    }

    fn subscribe(&mut self, names: &[&'static str], seen: &Seen) -> TestCaseResult {
        let id = self.requested(seen);
        let got = self.provider.subscribe(&request(names, id.as_deref()));
        let expected = match () {
            () if names.is_empty() => Some(SubscribeError::NoTopics),
            () if self.closed => Some(SubscribeError::Closed(Closed)),
            () => None,
        };
        if let Some(expected) = expected {
            prop_assert_eq!(got.err(), Some(expected));
            return Ok(());
        }
        let subscription = got.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let mut selection: Vec<_> = names.iter().map(|name| (*name, 0)).collect();
        selection.sort_unstable();
        selection.dedup();
        let next = self.head();
        let mut reader = Reader { subscription, selection, gap: None, next, ended: false };
        if let Some(id) = id {
            self.resume(&mut reader, &id);
        }
        self.readers.push(reader);
        Ok(())
    }

    fn resume(&self, reader: &mut Reader, id: &str) {
        let first = self.first_replayable();
        let reason = match self.after(id) {
            Ok(next) if !self.is_lost(reader, id, next, first) => {
                reader.next = next;
                return;
            }
            Ok(_) => "evicted",
            Err(reason) => reason,
        };
        reader.next = match self.policy.after_gap {
            AfterGap::Everything => first,
            AfterGap::Live => self.head(),
        };
        reader.gap = Some(self.gap(id, reason, reader.next));
    }

    /// Whether something that is selected from `next` on cannot be replayed.
    fn is_lost(&self, reader: &mut Reader, id: &str, next: u64, first: u64) -> bool {
        reader.next = next;
        let mut before = self.sent.iter().zip(1..).take_while(|(_, sequence)| *sequence < first);
        let is_lost = before.any(|(sent, sequence)| reader.wants(sequence, sent));
        // What a topic had that was forgotten meanwhile nobody knows.
        is_lost || next < self.tail() && self.is_given_a_gap(reader, id)
    }

    fn is_given_a_gap(&self, reader: &Reader, id: &str) -> bool {
        let names: Vec<_> = reader.selection.iter().map(|(name, _)| (*name).to_owned()).collect();
        let topics = self.provider.join(&names).unwrap();
        let start = self.provider.start(&topics, Some(id));
        self.provider.leave(&topics);
        start.gap.is_some()
    }

    fn read(&mut self, which: usize, times: usize) -> TestCaseResult {
        let tail = self.tail();
        let Some(reader) = pick(&mut self.readers, which) else { return Ok(()) };
        for _ in 0..times {
            let got = poll(&mut reader.subscription);
            if reader.ended {
                prop_assert_eq!(got, Poll::Ready(None));
                continue;
            }
            if let Some(gap) = reader.gap.take() {
                prop_assert_eq!(got, Poll::Ready(Some(Ok(gap.into()))));
                continue;
            }
            let wanted: Vec<_> = (1..)
                .zip(&self.sent)
                .filter(|(sequence, sent)| reader.wants(*sequence, sent))
                .collect();
            match wanted.first() {
                Some((first, _)) if *first < tail => {
                    prop_assert_eq!(got, Poll::Ready(Some(Err(Overtaken))));
                    reader.ended = true;
                }
                Some(_) => {
                    let Poll::Ready(Some(Ok(bytes))) = got else {
                        return Err(TestCaseError::fail(format!("owed {}: {got:?}", wanted.len())));
                    };
                    reader.next = taken(&bytes, &wanted)?;
                }
                None if self.closed => {
                    prop_assert_eq!(got, Poll::Ready(None));
                    reader.ended = true;
                }
                None => prop_assert_eq!(got, Poll::Pending),
            }
        }
        Ok(())
    }

    fn add(&mut self, which: usize, name: &'static str) -> TestCaseResult {
        let head = self.head();
        let Some(reader) = pick(&mut self.readers, which) else { return Ok(()) };
        let is_new = reader.selection.iter().all(|(there, _)| *there != name);
        let added = reader.subscription.add_topic(name);
        if is_new && self.closed {
            prop_assert_eq!(added, Err(SubscribeError::Closed(Closed)));
            return Ok(());
        }
        prop_assert_eq!(added, Ok(is_new));
        if is_new {
            reader.selection.push((name, head));
        }
        Ok(())
    }

    fn remove(&mut self, which: usize, name: &str) -> TestCaseResult {
        let Some(reader) = pick(&mut self.readers, which) else { return Ok(()) };
        let before = reader.selection.len();
        reader.selection.retain(|(there, _)| *there != name);
        let was_there = reader.selection.len() < before;
        prop_assert_eq!(reader.subscription.remove_topic(name), was_there);
        Ok(())
    }

    fn step(&mut self, step: &Step) -> TestCaseResult {
        match step {
            Step::Publish(draft) => self.publish(std::slice::from_ref(draft), |provider, batch| {
                provider.publish(batch[0].message, batch[0].topics).map(|receipt| vec![receipt])
            }),
            Step::Batch(drafts) => self.publish(drafts, LocalProvider::publish_batch),
            Step::Once(key, draft) => self.publish_once(*key, draft),
            Step::Subscribe(names, seen) => self.subscribe(names, seen),
            Step::Read(which, times) => self.read(*which, *times),
            Step::Add(which, name) => self.add(*which, name),
            Step::Remove(which, name) => self.remove(*which, name),
            Step::Advance(seconds) => {
                self.now += seconds;
                self.hand.set(self.now);
                Ok(())
            }
            Step::Drop(which) => {
                if !self.readers.is_empty() {
                    self.readers.remove(which % self.readers.len());
                }
                Ok(())
            }
            Step::Shutdown => {
                let expected = if self.closed { Err(Closed) } else { Ok(()) };
                prop_assert_eq!(self.provider.shutdown(), expected);
                self.closed = true;
                Ok(())
            }
        }
    }

    /// What both say of themselves.
    fn check(&self) -> TestCaseResult {
        prop_assert_eq!(self.provider.log().head().number(), self.head());
        prop_assert_eq!(self.provider.is_closed(), self.closed);
        prop_assert_eq!(self.provider.subscriptions(), self.readers.len() as u64);
        for name in SELECTIONS {
            let has = |reader: &&Reader| reader.selection.iter().any(|(there, _)| *there == name);
            let expected = match name.contains('*') {
                true => self.readers.iter().filter(has).count() as u32,
                false => self.count(&[name]),
            };
            prop_assert_eq!(self.provider.subscribers(name), expected, "{}", name);
        }
        let selected =
            self.readers.iter().flat_map(|reader| &reader.selection).map(|(name, _)| *name);
        let retained =
            self.sent.iter().skip(self.tail() as usize - 1).flat_map(|sent| &sent.topics);
        let topics: HashSet<_> =
            selected.filter(|name| !name.contains('*')).chain(retained.copied()).collect();
        prop_assert_eq!(self.provider.topics(), topics.len());
        Ok(())
    }
}

fn pick(readers: &mut [Reader], which: usize) -> Option<&mut Reader> {
    let len = readers.len().max(1);
    readers.get_mut(which % len)
}

fn poll(subscription: &mut LocalSubscription) -> Poll<Option<Result<Bytes, Overtaken>>> {
    pin!(subscription.next()).poll(&mut Context::from_waker(Waker::noop()))
}

/// What follows the last of `wanted` that is in `bytes`, which must be whole ones and nothing else.
fn taken(bytes: &[u8], wanted: &[(u64, &Sent)]) -> Result<u64, TestCaseError> {
    let (mut rest, mut next) = (bytes, 0);
    for (sequence, sent) in wanted {
        if rest.is_empty() {
            break;
        }
        rest = rest
            .strip_prefix(&*sent.bytes)
            .ok_or_else(|| TestCaseError::fail(format!("not what {} sent", sent.id)))?;
        next = sequence + 1;
    }
    prop_assert!(rest.is_empty() && next > 0, "more than was sent");
    Ok(next)
}

fn draft() -> impl Strategy<Value = Draft> {
    let len =
        prop_oneof![4 => 0..300_usize, 2 => 60_000..130_000_usize, 1 => 200_000..262_000_usize];
    let brought = prop_oneof![
        8 => Just(Brought::None),
        8 => Just(Brought::New),
        4 => (0..4_u8).prop_map(Brought::Of),
        1 => Just(Brought::Reserved),
    ];
    let topics = prop_oneof![
        40 => proptest::collection::vec(select(&NAMES[..]), 1..4),
        1 => Just(vec![]),
        1 => Just(vec!["a", "a/*"]),
    ];
    (len, brought, topics)
}

/// Ids of a batch are new: when its messages push one another out is the Log's business.
fn batch() -> impl Strategy<Value = Vec<Draft>> {
    proptest::collection::vec(draft(), 0..4).prop_map(|mut drafts| {
        for (_, brought, _) in &mut drafts {
            if let Brought::Of(_) = brought {
                *brought = Brought::New;
            }
        }
        drafts
    })
}

fn step() -> impl Strategy<Value = Step> {
    let seen = prop_oneof![
        2 => Just(Seen::Nothing),
        6 => (0..12_usize).prop_map(Seen::Back),
        3 => (0..30_u64).prop_map(Seen::Place),
        1 => (0..4_u64).prop_map(Seen::Ahead),
        1 => Just(Seen::OtherEpoch),
        1 => Just(Seen::Unknown),
    ];
    let names = proptest::collection::vec(select(&SELECTIONS[..]), 0..4);
    let which = || 0..8_usize;
    prop_oneof![
        160 => draft().prop_map(Step::Publish),
        40 => batch().prop_map(Step::Batch),
        40 => (0..3_u8, draft()).prop_map(|(key, draft)| Step::Once(key, draft)),
        60 => select(&[1, 5, 10, 60][..]).prop_map(Step::Advance),
        100 => (names, seen).prop_map(|(names, seen)| Step::Subscribe(names, seen)),
        160 => (which(), 1..4_usize).prop_map(|(which, times)| Step::Read(which, times)),
        30 => (which(), select(&SELECTIONS[..])).prop_map(|(which, name)| Step::Add(which, name)),
        30 => (which(), select(&SELECTIONS[..])).prop_map(|(which, name)| Step::Remove(which, name)),
        30 => which().prop_map(Step::Drop),
        3 => Just(Step::Shutdown),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    let option = |range| proptest::option::weighted(0.3, range);
    let after_gap = select(vec![AfterGap::Everything, AfterGap::Live]);
    let ids = select(vec![Ids::Any, Ids::Automatic, Ids::Own]);
    (ids, option(0..12_u64), option(0..25), option(0..700_000), after_gap).prop_map(
        |(ids, count, age, bytes, after_gap)| Policy { ids, count, age, bytes, after_gap },
    )
}

fn config() -> ProptestConfig {
    let default = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => default,
        None => ProptestConfig { cases: CASES_DEFAULT, ..default },
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_provider_does_what_its_contract_says(
        policy in policy(),
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut world = World::new(policy);
        for step in &steps {
            world.step(step)?;
            world.check()?;
        }
        for which in 0..world.readers.len() {
            world.read(which, 3)?;
        }
        world.readers.clear();
        world.check()?;
    }
}
