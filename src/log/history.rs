//! The Log itself: the append lock, the head, and the segments that are retained.

use std::{sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};

use super::{
    FrameTopics, Segment, Sequence, Topic, chunk_len,
    id::IdWriter,
    own_ids::OwnIds,
    segment::SegmentWriter,
    window::{Stretch, Window},
};
use crate::{limits, sse::Message};

/// How much a Log keeps.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// Most bytes of frames and their records, give or take one segment; at least
    /// [`limits::HISTORY_BYTES_MIN`].
    pub history_bytes: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { history_bytes: limits::HISTORY_BYTES_DEFAULT }
    }
}

/// One append-only order of encoded frames.
#[derive(Debug)]
pub struct Log {
    epoch: u32,
    history_bytes: usize,
    segment_bytes: usize,
    retained: Window<Segment>,
    writer: Mutex<Writer>,
    own_ids: Mutex<OwnIds>,
}

/// What the append lock protects.
#[derive(Debug)]
struct Writer {
    segment: SegmentWriter,
    ids: IdWriter,
}

/// The append lock, held: frames appended through it become visible together.
#[derive(Debug)]
pub struct Append<'l> {
    log: &'l Log,
    writer: MutexGuard<'l, Writer>,
    next: Sequence,
    emptied: Vec<Arc<Topic>>,
}

/// Bytes of segment per frame record: a segment of messages shorter than this ends by its records.
const BYTES_PER_RECORD: usize = 128;

impl Log {
    /// An empty Log with a random epoch.
    ///
    /// # Panics
    /// If the system has no randomness to give.
    pub fn new(options: LogOptions) -> Self {
        let epoch = getrandom::u32().expect("the system gives random numbers");
        let history_bytes = options.history_bytes.max(limits::HISTORY_BYTES_MIN);
        Self::with(epoch, history_bytes, segment_bytes(history_bytes))
    }

    /// A Log whose ids are known beforehand, and which may be smaller than any that is of use.
    #[cfg(test)]
    pub(crate) fn for_test(epoch: u32, history_bytes: usize, segment_bytes: usize) -> Self {
        Self::with(epoch, history_bytes, segment_bytes)
    }

    fn with(epoch: u32, history_bytes: usize, segment_bytes: usize) -> Self {
        let frames_max = frames_max(segment_bytes);
        let segment = SegmentWriter::new(Sequence::FIRST, segment_bytes, frames_max);
        Self {
            epoch,
            history_bytes,
            segment_bytes,
            retained: Window::new(segment.segment()),
            writer: Mutex::new(Writer { segment, ids: IdWriter::new(epoch) }),
            own_ids: Mutex::default(),
        }
    }

    /// The random number that marks this life of the Log in its ids.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Sequence that the next frame will get; every frame below it is published.
    #[inline]
    pub fn head(&self) -> Sequence {
        self.retained.head()
    }

    /// Sequence of the oldest retained frame; the head when there is none.
    #[inline]
    pub fn tail(&self) -> Sequence {
        self.retained.tail()
    }

    /// Bytes retained: frames and their records.
    pub fn bytes_used(&self) -> usize {
        self.retained.stretches().iter().map(Segment::bytes_used).sum()
    }

    /// The segment that holds `sequence`, or will: none when it is retired.
    pub fn segment(&self, sequence: Sequence) -> Option<Segment> {
        self.retained.find(sequence)
    }

    /// Sequence of the first retained frame whose position is at least `position`.
    pub fn find(&self, position: u64) -> Sequence {
        let segments = self.retained.stretches();
        let starts_before = |segment: &Segment| {
            segment.frame(segment.first()).is_some_and(|frame| frame.position() < position)
        };
        let after = segments.partition_point(starts_before);
        segments[after.saturating_sub(1)].find(position)
    }

    /// Sequence of the first retained frame that was published after `time`; the head, or later, if
    /// none was. See [`Append::set_time`].
    pub fn first_published_after(&self, time: Duration) -> Sequence {
        let segments = self.retained.stretches();
        // All of those before the last one whose beginning is too old are too old.
        let too_old = |segment: &Segment| segment.first_published_after(time) > segment.first();
        let after = segments.partition_point(too_old);
        segments[after.saturating_sub(1)].first_published_after(time)
    }

    /// Sequence of the first retained frame from which to `head` there are at most `bytes` of frames.
    pub fn first_of_last_bytes(&self, bytes: u64, head: Sequence) -> Sequence {
        let segments = self.retained.stretches();
        let after = segments.partition_point(|segment| segment.first() <= head);
        let end = segments[after.saturating_sub(1)].bytes_before(head);
        let behind = end.saturating_sub(bytes);
        let after = segments.partition_point(|segment| segment.base() < behind);
        segments[after.saturating_sub(1)].first_behind(behind)
    }

    /// Sequence of the first retained frame whose message brought this id.
    pub fn find_own_id(&self, id: &str) -> Option<Sequence> {
        self.own_ids.lock().find(id)
    }

    /// Whether a reader that has read up to `progress` is so far behind that more than half of the
    /// history lies before it.
    pub fn is_far_behind(&self, progress: Sequence) -> bool {
        let segments = self.retained.stretches();
        let unread = segments.iter().rev().take_while(|segment| segment.end() > progress);
        unread.map(Segment::bytes_used).sum::<usize>() > self.history_bytes / 2
    }

    /// Takes the append lock.
    pub fn append(&self) -> Append<'_> {
        let writer = self.writer.lock();
        let next = self.head();
        Append { log: self, writer, next, emptied: Vec::new() }
    }
}

impl Append<'_> {
    /// Appends `message` to `topics`, with an automatic id unless it has its own.
    ///
    /// It must not be larger than a message may be: the caller has checked that.
    pub fn append(&mut self, message: &Message, topics: FrameTopics) -> Sequence {
        let sequence = self.next;
        let position = sequence.number();
        let id = self.writer.ids.write(position);
        let event_len = message.encoded_len(Some(id));
        if let Some(own) = message.event_id() {
            self.log.own_ids.lock().insert(own.as_str(), sequence);
        }
        if !self.writer.segment.has_room(event_len) {
            self.start_segment(event_len);
        }
        let tail = self.log.tail();
        let mut named = None;
        for topic in topics.as_slice() {
            // A pattern comes behind the topic that it stands for.
            named = named.filter(|_| topic.is_pattern()).or_else(|| Some(topic.id()));
            topic.append(sequence, tail, named.zip(message.conflation_key()));
        }
        let Writer { segment, ids } = &mut *self.writer;
        segment.append(position, topics, event_len, |out| {
            message.encode_into(Some(ids.text()), out);
        });
        self.next = sequence.plus(1);
        sequence
    }

    /// Sequence that the next frame appended will get.
    pub fn next(&self) -> Sequence {
        self.next
    }

    /// Says that it is `now`, by a clock that does not go back, for what is appended from here on.
    pub fn set_time(&mut self, now: Duration) {
        self.writer.segment.set_time(now);
    }

    /// Publishes what was appended, and gives the topics that lost their last retained frame.
    ///
    /// The lock is held until the `Append` is dropped.
    pub fn publish(&mut self) -> Vec<Arc<Topic>> {
        self.writer.segment.publish();
        self.log.retained.publish(self.next);
        std::mem::take(&mut self.emptied)
    }

    fn start_segment(&mut self, event_len: usize) {
        // Frames of this batch stay unseen until the head moves.
        self.writer.segment.publish();
        let bytes_max = self.log.segment_bytes.max(chunk_len(event_len));
        self.writer.segment = self.writer.segment.next(bytes_max, frames_max(bytes_max));
        self.log.retained.push(self.writer.segment.segment());
        self.retire();
    }

    /// Drops the oldest segments while the history is too large.
    fn retire(&mut self) {
        let mut used = self.log.bytes_used();
        while used > self.log.history_bytes {
            let Some(oldest) = self.log.retained.take_oldest() else { return };
            used -= oldest.bytes_used();
            self.log.own_ids.lock().retire_below(oldest.end());
            for frame in oldest.frames(oldest.first()..oldest.end()) {
                self.retire_frame(&frame);
            }
        }
    }

    fn retire_frame(&mut self, frame: &super::Frame<'_>) {
        for topic in frame.topics() {
            if topic.retire_below(frame.sequence().plus(1)) {
                self.emptied.push(Arc::clone(topic));
            }
        }
    }
}

impl Stretch for Segment {
    fn first(&self) -> Sequence {
        self.first()
    }
}

fn frames_max(bytes_max: usize) -> usize {
    bytes_max / BYTES_PER_RECORD
}

/// A sixteenth of the history, so that retiring one segment is a small step.
fn segment_bytes(history_bytes: usize) -> usize {
    (history_bytes / 16).clamp(limits::SEGMENT_BYTES_MIN, limits::SEGMENT_BYTES_MAX)
}
