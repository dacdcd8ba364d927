//! Reading from a cursor: what a subscriber that is not up to date gets next.
//!
//! Cost: O(frames read), by the topics' indexes; frames of other topics are never looked at.

use std::sync::Arc;

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

/// Frames gathered into contiguous bytes, with what is needed to find the cursor after a short send.
#[derive(Debug)]
pub struct Run {
    bytes: Vec<u8>,
    /// For each frame its sequence and where it ends in `bytes`.
    ends: Vec<(Sequence, usize)>,
    /// Bytes of the first frame that are not here because they had been sent before.
    skipped: usize,
    /// Where to go on once everything here is sent.
    next: Cursor,
    sequences: Vec<Sequence>,
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
        let complete = run.look_up(wanted, from.sequence, below)?;
        run.next = Cursor::at(below.max(from.sequence));
        let mut segment: Option<Segment> = None;
        for index in 0..run.sequences.len() {
            let sequence = run.sequences[index];
            if run.bytes.len() >= bytes_max {
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

impl Default for Run {
    fn default() -> Self {
        Self::new()
    }
}

impl Run {
    /// An empty run.
    pub fn new() -> Self {
        Self {
            bytes: Vec::new(),
            ends: Vec::new(),
            skipped: 0,
            next: Cursor::at(Sequence::FIRST),
            sequences: Vec::new(),
        }
    }

    /// The bytes to send.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Frames that are complete once the first `sent` bytes are out.
    pub fn frames_within(&self, sent: usize) -> usize {
        self.ends.partition_point(|&(_, end)| end <= sent)
    }

    /// Where the reader is once the first `sent` bytes are out.
    pub fn cursor_after(&self, sent: usize) -> Cursor {
        let complete = self.frames_within(sent);
        let Some(&(sequence, _)) = self.ends.get(complete) else { return self.next };
        let begun = match complete.checked_sub(1) {
            Some(before) => sent - self.ends[before].1,
            None => sent + self.skipped,
        };
        Cursor { sequence, offset: begun }
    }

    /// What is left of the frame in which the first `sent` bytes end.
    pub fn rest_of_frame(&self, sent: usize) -> &[u8] {
        let end = self.ends.get(self.frames_within(sent)).map_or(sent, |&(_, end)| end);
        &self.bytes[sent..end]
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.sequences.clear();
        self.skipped = 0;
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
            self.bytes.extend_from_slice(&bytes[from.offset..]);
        } else {
            self.bytes.extend_from_slice(bytes);
        }
        self.ends.push((sequence, self.bytes.len()));
        Ok(())
    }
}
