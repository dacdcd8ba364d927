//! Reading from a cursor: what a subscriber that is not up to date gets next.
//!
//! Cost: O(frames read), by the topics' indexes; frames of other topics are never looked at.

use std::{ops::Range, sync::Arc};

use super::{Log, Segment, Sequence, Topic};

/// Where a reader is: everything before it has been sent. I4: mid-frame, the rest of that frame
/// comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The frame to continue with.
    pub sequence: Sequence,
    /// Bytes of that frame which have been sent already.
    pub offset: usize,
}

/// How frames are wrapped on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Each event as one HTTP/1.1 chunk.
    Chunked,
    /// Bare events, ended by closing (HTTP/1.0), or framed by somebody else.
    Bare,
}

/// What a reader is given.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'t> {
    /// The frames of these, each once.
    pub topics: &'t [Arc<Topic>],
    /// Wrapped so.
    pub framing: Framing,
    /// Without frames for which a later one with the same conflation key stands.
    pub conflated: bool,
}

/// Frames the reader still needed have been retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reader was overtaken: frames it still needed are no longer retained")]
pub struct Overtaken;

/// The next frames of a reader as contiguous bytes, with what is needed to find the cursor after a short
/// send.
#[derive(Debug)]
pub struct Run {
    /// Frames that lie side by side are sent from where they are.
    in_place: Option<InPlace>,
    /// Others are gathered here.
    gathered: Vec<u8>,
    /// For each gathered frame its sequence and where it ends.
    ends: Vec<(Sequence, usize)>,
    /// Bytes of the first frame that are not here because they had been sent before.
    skipped: usize,
    /// Where to go on once everything here is sent.
    next: Cursor,
    sequences: Vec<Sequence>,
}

/// Frames that follow each other in a segment, without what the first one's reader has had.
#[derive(Debug)]
struct InPlace {
    segment: Segment,
    first: Sequence,
    count: usize,
    bytes: Range<usize>,
}

/// Sequences looked up at a time: bounds the time a topic's index is locked.
const FRAMES_PER_READ_MAX: usize = if cfg!(test) { 16 } else { 1024 };

impl Cursor {
    /// At the beginning of a frame.
    pub const fn at(sequence: Sequence) -> Self {
        Self { sequence, offset: 0 }
    }
}

impl Log {
    /// Gathers into `run` what a subscriber at `from` gets next of the frames below `below`: whole
    /// frames, about `bytes_max` bytes of them and at least one.
    ///
    /// # Errors
    /// [`Overtaken`] when a frame that belonged in the run is no longer retained.
    pub fn read(
        &self,
        wanted: Wanted<'_>,
        from: Cursor,
        below: Sequence,
        bytes_max: usize,
        run: &mut Run,
    ) -> Result<(), Overtaken> {
        run.clear();
        if self.read_in_place(wanted, from, below, bytes_max, run)? {
            return Ok(());
        }
        let complete = run.look_up(wanted, from.sequence, below)?;
        run.next = Cursor::at(below.max(from.sequence));
        let mut segment: Option<Segment> = None;
        for index in 0..run.sequences.len() {
            let sequence = run.sequences[index];
            if run.gathered.len() >= bytes_max {
                run.next = Cursor::at(sequence);
                return Ok(());
            }
            let holder = match segment.take() {
                Some(segment) if segment.frame(sequence).is_some() => segment,
                _ => self.segment(sequence).ok_or(Overtaken)?,
            };
            run.push(&holder, sequence, wanted.framing, from)?;
            segment = Some(holder);
        }
        if !complete && let Some(&last) = run.sequences.last() {
            run.next = Cursor::at(last.plus(1));
        }
        Ok(())
    }
}

impl Log {
    /// Takes the frames from where they are, if they are a topic's and no other's lie in between. False:
    /// they must be gathered.
    fn read_in_place(
        &self,
        wanted: Wanted<'_>,
        from: Cursor,
        below: Sequence,
        bytes_max: usize,
        run: &mut Run,
    ) -> Result<bool, Overtaken> {
        let ([topic], Framing::Chunked, false) = (wanted.topics, wanted.framing, wanted.conflated)
        else {
            return Ok(false);
        };
        let (first, is_retained) = topic.first(from.sequence..below);
        if !is_retained {
            return Err(Overtaken);
        }
        let Some(first) = first else { return Ok(false) };
        let segment = self.segment(first).ok_or(Overtaken)?;
        let count = segment.frames_within(first, below, bytes_max);
        if count == 0 || !topic.has_all(first, count) {
            return Ok(false);
        }
        run.skipped = if first == from.sequence { from.offset } else { 0 };
        run.next = Cursor::at(first.plus(count));
        let start = segment.frame(first).ok_or(Overtaken)?.range().start + run.skipped;
        let end = segment.frame(first.plus(count - 1)).ok_or(Overtaken)?.range().end;
        run.in_place = Some(InPlace { segment, first, count, bytes: start..end });
        Ok(true)
    }
}

impl InPlace {
    fn bytes(&self) -> &[u8] {
        self.segment.bytes(self.bytes.clone())
    }

    /// A frame's sequence, and where it ends in the bytes.
    fn end(&self, nth: usize) -> (Sequence, usize) {
        let sequence = self.first.plus(nth);
        let frame = self.segment.frame(sequence).expect("it was here when the run was made");
        (sequence, frame.range().end - self.bytes.start)
    }

    fn frames_within(&self, sent: usize) -> usize {
        let (mut complete, mut beyond) = (0, self.count);
        while complete < beyond {
            let middle = (complete + beyond) / 2;
            if self.end(middle).1 <= sent {
                complete = middle + 1;
            } else {
                beyond = middle;
            }
        }
        complete
    }
}

impl Default for Run {
    fn default() -> Self {
        Self::new()
    }
}

impl Run {
    /// An empty run.
    pub fn new() -> Self {
        Self {
            in_place: None,
            gathered: Vec::new(),
            ends: Vec::new(),
            skipped: 0,
            next: Cursor::at(Sequence::FIRST),
            sequences: Vec::new(),
        }
    }

    /// The bytes to send.
    pub fn bytes(&self) -> &[u8] {
        self.in_place.as_ref().map_or(&self.gathered, InPlace::bytes)
    }

    /// Frames that are complete once the first `sent` bytes are out.
    pub fn frames_within(&self, sent: usize) -> usize {
        match &self.in_place {
            Some(in_place) => in_place.frames_within(sent),
            None => self.ends.partition_point(|&(_, end)| end <= sent),
        }
    }

    /// How many of its frames are in `range`.
    pub fn frames_in(&self, range: Range<Sequence>) -> usize {
        let below = |sequence: Sequence| match &self.in_place {
            Some(InPlace { first, count, .. }) => {
                sequence.since(*first).map_or(0, |frames| frames.min(*count))
            }
            None => self.ends.partition_point(|&(at, _)| at < sequence),
        };
        below(range.end).saturating_sub(below(range.start))
    }

    /// Where the reader is once the first `sent` bytes are out.
    pub fn cursor_after(&self, sent: usize) -> Cursor {
        let complete = self.frames_within(sent);
        let Some((sequence, _)) = self.end(complete) else { return self.next };
        let begun = match complete.checked_sub(1).and_then(|before| self.end(before)) {
            Some((_, end)) => sent - end,
            None => sent + self.skipped,
        };
        Cursor { sequence, offset: begun }
    }

    /// What is left of the frame in which the first `sent` bytes end.
    pub fn rest_of_frame(&self, sent: usize) -> &[u8] {
        let end = self.end(self.frames_within(sent)).map_or(sent, |(_, end)| end);
        &self.bytes()[sent..end]
    }

    /// Forgets the frames, and lets go of the segment that they are in.
    pub fn clear(&mut self) {
        self.in_place = None;
        self.gathered.clear();
        self.ends.clear();
        self.sequences.clear();
        self.skipped = 0;
    }

    /// A frame's sequence, and where it ends in the bytes.
    fn end(&self, nth: usize) -> Option<(Sequence, usize)> {
        match &self.in_place {
            Some(in_place) => (nth < in_place.count).then(|| in_place.end(nth)),
            None => self.ends.get(nth).copied(),
        }
    }

    /// Collects the next sequences of all topics in order, each once. False: there are more.
    fn look_up(
        &mut self,
        wanted: Wanted<'_>,
        from: Sequence,
        below: Sequence,
    ) -> Result<bool, Overtaken> {
        let mut complete = true;
        for topic in wanted.topics {
            let before = self.sequences.len();
            let (range, found) = (from..below, &mut self.sequences);
            let is_retained = if wanted.conflated {
                topic.latest_sequences(range, FRAMES_PER_READ_MAX, found)
            } else {
                topic.sequences(range, FRAMES_PER_READ_MAX, found)
            };
            if !is_retained {
                return Err(Overtaken);
            }
            complete &= self.sequences.len() - before < FRAMES_PER_READ_MAX;
        }
        if wanted.topics.len() > 1 {
            self.sequences.sort_unstable();
            self.sequences.dedup();
            // Beyond its own last sequence a topic that gave its most may have others in between.
            if self.sequences.len() > FRAMES_PER_READ_MAX {
                self.sequences.truncate(FRAMES_PER_READ_MAX);
                complete = false;
            }
        }
        Ok(complete)
    }

    fn push(
        &mut self,
        segment: &Segment,
        sequence: Sequence,
        framing: Framing,
        from: Cursor,
    ) -> Result<(), Overtaken> {
        let frame = segment.frame(sequence).ok_or(Overtaken)?;
        let bytes = match framing {
            Framing::Chunked => frame.chunk(),
            Framing::Bare => frame.event(),
        };
        if sequence == from.sequence {
            self.skipped = from.offset;
            self.gathered.extend_from_slice(&bytes[from.offset..]);
        } else {
            self.gathered.extend_from_slice(bytes);
        }
        self.ends.push((sequence, self.gathered.len()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        log::{FrameTopics, LogOptions, TopicId},
        sse::Message,
    };

    /// A Log with a frame of each of these topics, which are numbers, and the topics 0 and 1.
    fn log(frames: &[u64]) -> (Log, [Arc<Topic>; 2]) {
        let log = Log::new(LogOptions::default());
        let topics = [0, 1].map(|id| Arc::new(Topic::new(TopicId(id), "", Sequence::FIRST)));
        let mut append = log.append();
        for (nth, &topic) in frames.iter().enumerate() {
            let topic = Arc::clone(&topics[topic as usize]);
            append.append(&Message::new("x".repeat(nth * 7)), FrameTopics::One(topic));
        }
        append.publish();
        drop(append);
        (log, topics)
    }

    fn read(log: &Log, topics: &[Arc<Topic>], from: Cursor, max: usize) -> Run {
        let wanted = Wanted { topics, framing: Framing::Chunked, conflated: false };
        let mut run = Run::new();
        log.read(wanted, from, log.head(), max, &mut run).unwrap();
        run
    }

    /// All that a run tells about each number of bytes sent.
    fn all_cuts(run: &Run) -> Vec<(usize, Cursor, Vec<u8>)> {
        let cut = |sent| {
            (run.frames_within(sent), run.cursor_after(sent), run.rest_of_frame(sent).to_vec())
        };
        (0..run.bytes().len()).map(cut).collect()
    }

    #[test]
    fn frames_in_place_are_what_gathering_gives() {
        let (log, topics) = log(&[0; 8]);
        for first in 1..=8 {
            for offset in [0, 1, 20] {
                for max in [1, 100, 1000] {
                    let from = Cursor { sequence: Sequence::new(first), offset };
                    let in_place = read(&log, &topics[..1], from, max);
                    let gathered = read(&log, &topics, from, max);
                    assert!(in_place.in_place.is_some() && gathered.in_place.is_none());
                    let len = in_place.bytes().len().min(gathered.bytes().len());
                    assert!(len > 0 && in_place.bytes()[..len] == gathered.bytes()[..len]);
                    let both = [&in_place, &gathered].map(all_cuts);
                    assert_eq!(both[0][..len], both[1][..len]);
                    let after = in_place.cursor_after(in_place.bytes().len());
                    assert!(after.offset == 0 && after.sequence > from.sequence);
                }
            }
        }
    }

    #[test]
    fn frames_of_others_in_between_are_left_out() {
        let (log, topics) = log(&[0, 0, 1, 0, 1]);
        let run = read(&log, &topics[..1], Cursor::at(Sequence::FIRST), 1 << 20);
        assert!(run.in_place.is_none());
        assert_eq!(run.frames_within(run.bytes().len()), 3);
        assert_eq!(run.cursor_after(run.bytes().len()), Cursor::at(log.head()));
        // From the last of them on nothing lies in between, and what follows is another's.
        let run = read(&log, &topics[..1], Cursor::at(Sequence::new(4)), 1);
        assert!(run.in_place.is_some());
        assert_eq!(run.cursor_after(run.bytes().len()), Cursor::at(Sequence::new(5)));
    }
}
