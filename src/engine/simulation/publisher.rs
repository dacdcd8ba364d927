//! What is published, and the list of it that everyone's bytes are compared with.

use std::{cell::RefCell, rc::Rc};

use fastrand::Rng;

use super::{
    plan::Publishing,
    selection::{NAMES, Topics},
};
use crate::{
    engine::driver::sim::Network,
    log::Sequence,
    provider::{LocalProvider, Publication},
    sse::{EventId, EventType, Message},
};

/// One message, as everyone must get it.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) id: String,
    pub(super) topics: Topics,
    pub(super) event: String,
    /// Its conflation key.
    key: Option<u8>,
}

/// Publishes, and remembers.
#[derive(Debug)]
pub(super) struct Publisher {
    provider: LocalProvider,
    network: Rc<RefCell<Network>>,
    plan: Publishing,
    epoch: u32,
    rng: Rng,
    /// In order: the first one is the Log's first.
    pub(super) published: Vec<Published>,
    is_quiet: bool,
}

struct Draft {
    message: Message,
    names: Vec<&'static str>,
    expected: Published,
}

impl Publisher {
    pub(super) fn new(
        provider: LocalProvider,
        network: Rc<RefCell<Network>>,
        plan: Publishing,
        rng: Rng,
    ) -> Self {
        let epoch = provider.log().epoch();
        Self { provider, network, plan, epoch, rng, published: Vec::new(), is_quiet: false }
    }

    /// The sequence of the next message.
    pub(super) fn head(&self) -> Sequence {
        Sequence::FIRST.plus(self.published.len())
    }

    pub(super) fn at(&self, sequence: Sequence) -> Option<&Published> {
        self.published.get(sequence.since(Sequence::FIRST)?)
    }

    /// The first message from `from` on that goes to one of these topics.
    pub(super) fn next_of(&self, topics: Topics, from: Sequence) -> Option<Sequence> {
        let skipped = from.since(Sequence::FIRST).unwrap_or(0);
        let mut rest = self.published.iter().skip(skipped);
        rest.position(|message| message.topics.meets(topics)).map(|nth| from.plus(nth))
    }

    /// Whether a later message stands for this one, for somebody who conflates these topics.
    pub(super) fn is_superseded(&self, sequence: Sequence, topics: Topics) -> bool {
        let Some(message) = self.at(sequence).filter(|message| message.key.is_some()) else {
            return false;
        };
        let shared = message.topics.both(topics);
        let later = self.published.iter().skip(sequence.since(Sequence::FIRST).unwrap_or(0) + 1);
        later.into_iter().any(|other| other.key == message.key && other.topics.meets(shared))
    }

    /// How many topics the messages from `from` on have together.
    pub(super) fn topics_from(&self, from: Sequence) -> usize {
        let rest = self.published.iter().skip(from.since(Sequence::FIRST).unwrap_or(0));
        rest.fold(0, |topics, message| topics | message.topics.bits()).count_ones() as usize
    }

    /// The id that the message with this sequence has unless it brings one.
    pub(super) fn id_at(&self, sequence: u64) -> String {
        format!("{:08x}-{sequence}", self.epoch)
    }

    /// Publishes nothing by itself any more, or again.
    pub(super) fn be_quiet(&mut self, is_quiet: bool) {
        self.is_quiet = is_quiet;
    }

    /// A core is in the middle of something.
    pub(super) fn meanwhile(&mut self) {
        if !self.is_quiet && self.plan.meanwhile > 0 && self.rng.u16(0..1000) < self.plan.meanwhile
        {
            self.publish();
        }
    }

    /// Publishes a message or a batch.
    pub(super) fn publish(&mut self) {
        let count = if self.rng.bool() { 1 } else { self.rng.usize(1..=self.plan.batch_max) };
        let first = self.published.len();
        let drafts: Vec<Draft> = (0..count).map(|nth| self.draft(first + nth)).collect();
        let batch: Vec<Publication<'_>> = drafts
            .iter()
            .map(|draft| Publication { message: &draft.message, topics: &draft.names })
            .collect();
        let receipts = match &batch[..] {
            [one] => vec![self.provider.publish(one.message, one.topics).expect("it is sound")],
            batch => self.provider.publish_batch(batch).expect("it is sound"),
        };
        for (receipt, draft) in receipts.iter().zip(&drafts) {
            let id = receipt.id().expect("each message has an id");
            assert_eq!(id.as_str(), draft.expected.id, "a message has another id than is its due");
        }
        let mut network = self.network.borrow_mut();
        for draft in drafts {
            network.trace.bytes(draft.expected.event.as_bytes());
            let topics = draft.expected.topics.bits() as usize;
            self.published.push(draft.expected);
            network.note("published to topics", None, topics, self.published.len() as u64);
        }
    }

    fn draft(&mut self, index: usize) -> Draft {
        let sequence = index as u64 + Sequence::FIRST.number();
        let mut text = format!("{sequence} ");
        let filler = self.rng.usize(..self.plan.bytes_max);
        text.extend(std::iter::repeat_n('x', filler));
        if self.rng.u8(0..8) == 0 {
            text.push_str("\nanother line");
        }
        let mut message = Message::new(&text);
        let id = if self.rng.u8(0..100) < self.plan.own_ids {
            // Some come again.
            let number = if self.rng.u8(0..8) == 0 { sequence / 2 } else { sequence };
            let own = format!("own-{number}");
            message = message.id(EventId::new(&*own).expect("it is plain"));
            own
        } else {
            self.id_at(sequence)
        };
        let mut event = format!("id: {id}\n");
        if self.rng.u8(0..8) == 0 {
            message = message.event(EventType::new("price").expect("it is plain"));
            event.push_str("event: price\n");
        }
        for line in text.split('\n') {
            event.push_str(&format!("data: {line}\n"));
        }
        event.push('\n');
        let (names, topics) = self.draw_topics();
        let key = (self.rng.u8(0..100) < self.plan.keyed).then(|| self.rng.u8(0..3));
        if let Some(key) = key {
            message = message.conflate_by(&key.to_string());
        }
        Draft { message, names, expected: Published { id, topics, event, key } }
    }

    fn draw_topics(&mut self) -> (Vec<&'static str>, Topics) {
        let mut topics = Topics::default();
        let count = if self.rng.bool() { 1 } else { self.rng.usize(1..=3) };
        let numbers: Vec<usize> = (0..count).map(|_| self.rng.usize(..self.plan.topics)).collect();
        numbers.iter().for_each(|&number| topics.add(number));
        (numbers.iter().map(|&number| NAMES[number]).collect(), topics)
    }
}
