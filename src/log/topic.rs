//! A topic: which frames it has, and who wants them.
//!
//! The Log appends to and retires from the topic's index under the append lock; readers that catch
//! up look sequences up in it.

use std::{
    ops::Range,
    sync::atomic::{AtomicU32, Ordering},
};

use parking_lot::Mutex;

use super::{Sequence, index::Index, interest::Interest, latest::Latest};

/// A topic's identity for as long as its table entry lives; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub(crate) u64);

/// One topic.
#[derive(Debug)]
pub struct Topic {
    id: TopicId,
    name: Box<str>,
    frames: Mutex<Frames>,
    interest: Interest,
    subscribers: AtomicU32,
    /// Of a pattern: frames from here on name it.
    begins: Option<Sequence>,
}

/// Which frames it has.
#[derive(Debug)]
struct Frames {
    index: Index,
    /// While somebody conflates.
    latest: Option<Box<Latest>>,
    conflating: u32,
}

impl Topic {
    /// A topic without frames. Frames before `complete_from` may have been its own in an earlier life.
    pub fn new(id: TopicId, name: &str, complete_from: Sequence) -> Self {
        Self::with(id, name, complete_from, None)
    }

    /// A pattern that stands for topics: every frame from `complete_from` on that is published to one of
    /// them is published to it too.
    pub fn pattern(id: TopicId, name: &str, complete_from: Sequence) -> Self {
        Self::with(id, name, complete_from, Some(complete_from))
    }

    fn with(id: TopicId, name: &str, complete_from: Sequence, begins: Option<Sequence>) -> Self {
        Self {
            id,
            name: name.into(),
            frames: Mutex::new(Frames {
                index: Index::new(complete_from),
                latest: None,
                conflating: 0,
            }),
            interest: Interest::new(),
            subscribers: AtomicU32::new(0),
            begins,
        }
    }

    /// Its identity.
    pub fn id(&self) -> TopicId {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a pattern, and stands for topics.
    pub fn is_pattern(&self) -> bool {
        self.begins.is_some()
    }

    /// From here on a frame of its own names it. A pattern's earlier ones are in its index alone.
    pub fn named_from(&self) -> Sequence {
        self.begins.unwrap_or(Sequence::FIRST)
    }

    /// Who is woken for its frames.
    pub fn interest(&self) -> &Interest {
        &self.interest
    }

    /// Subscribers at the moment.
    pub fn subscribers(&self) -> u32 {
        self.subscribers.load(Ordering::Relaxed)
    }

    /// Whether nobody subscribes and nothing is retained: the table may forget it.
    pub fn is_idle(&self) -> bool {
        self.subscribers() == 0 && self.frames.lock().index.is_empty()
    }

    /// How many of its frames are retained.
    pub fn frames(&self) -> usize {
        self.frames.lock().index.len()
    }

    /// Counts a subscriber in.
    pub fn add_subscriber(&self) {
        self.subscribers.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a subscriber out.
    pub fn remove_subscriber(&self) {
        self.subscribers.fetch_sub(1, Ordering::Relaxed);
    }

    /// From here on every published frame of the topic is still known.
    pub fn complete_from(&self) -> Sequence {
        self.frames.lock().index.complete_from()
    }

    /// Whether a frame in `range` is its own, as far as that is still known.
    pub fn has_any(&self, range: Range<Sequence>) -> bool {
        self.frames.lock().index.has_any(range)
    }

    /// Appends to `found` the first `max` sequences of this topic in `range`.
    ///
    /// False: frames at or after its start may be gone.
    #[must_use]
    pub fn sequences(&self, range: Range<Sequence>, max: usize, found: &mut Vec<Sequence>) -> bool {
        self.frames.lock().index.find(range, max, found)
    }

    /// The first sequence of this topic in `range`; whether it has each of the `count` that begin with a
    /// sequence is what [`has_all`](Self::has_all) tells. False: frames at or after its start may be gone.
    #[must_use]
    pub fn first(&self, range: Range<Sequence>) -> (Option<Sequence>, bool) {
        let frames = self.frames.lock();
        let is_retained = frames.index.complete_from() <= range.start;
        (frames.index.first(range), is_retained)
    }

    /// Whether each of the `count` sequences from `first` on is a frame of this topic.
    pub fn has_all(&self, first: Sequence, count: usize) -> bool {
        self.frames.lock().index.has_all(first, count)
    }

    /// As [`sequences`](Self::sequences), without frames for which a later one with the same conflation
    /// key stands, as far as that was noted since somebody [began to conflate](Self::conflate).
    #[must_use]
    pub fn latest_sequences(
        &self,
        range: Range<Sequence>,
        max: usize,
        found: &mut Vec<Sequence>,
    ) -> bool {
        let frames = self.frames.lock();
        let Some(latest) = &frames.latest else { return frames.index.find(range, max, found) };
        if range.start >= latest.from() {
            return latest.find(range, max, found);
        }
        let before = found.len();
        let older = range.start..range.end.min(latest.from());
        let complete = frames.index.find(older, max, found);
        // Whatever is gone of these is gone before them too.
        let _ = latest.find(latest.from()..range.end, max - (found.len() - before), found);
        complete
    }

    /// The newest frame in `range`.
    pub fn newest(&self, range: Range<Sequence>) -> Option<Sequence> {
        self.frames.lock().index.newest(range)
    }

    /// Notes from now on which frames are the latest of their conflation key, for one subscriber more.
    pub fn conflate(&self) {
        let mut frames = self.frames.lock();
        frames.conflating += 1;
        if frames.latest.is_none() {
            let from = frames.index.end();
            frames.latest = Some(Box::new(Latest::new(from)));
        }
    }

    /// One subscriber fewer conflates.
    pub fn stop_conflating(&self) {
        let mut frames = self.frames.lock();
        frames.conflating -= 1;
        if frames.conflating == 0 {
            frames.latest = None;
        }
    }

    /// Adds frames from before this pattern was one, in order: all that are its own from
    /// `complete_from` on.
    pub fn prepend(&self, older: &[Sequence], complete_from: Sequence) {
        self.frames.lock().index.prepend(older, complete_from);
    }

    pub(super) fn append(
        &self,
        sequence: Sequence,
        tail: Sequence,
        conflation_key: Option<(TopicId, &str)>,
    ) {
        let mut frames = self.frames.lock();
        if self.is_pattern() {
            // Frames that were prepended do not name the pattern when they are retired.
            frames.index.retire_below(tail);
        }
        frames.index.append(sequence);
        if let Some(latest) = &mut frames.latest {
            latest.append(sequence, conflation_key);
        }
    }

    /// Forgets its frames before `tail`. True when none is left.
    pub(super) fn retire_below(&self, tail: Sequence) -> bool {
        let mut frames = self.frames.lock();
        frames.index.retire_below(tail);
        if let Some(latest) = &mut frames.latest {
            latest.retire_below(tail);
        }
        frames.index.is_empty()
    }
}
