//! A fan-out pass: one batch of frames to every live connection that wants some of them.
//!
//! A pass is planned at once and sent in slices, between which the core accepts, receives and
//! catches up. Its plan names sockets by generation, so members that end, or fall behind, while it
//! runs are simply skipped. Frames of one group that lie side by side are sent from where they are;
//! others are gathered once per group.

use std::ops::Range;

use super::{
    driver::{Send, Socket},
    group::{GroupId, Groups},
};
use crate::log::{Cursor, Frame, Framing, Segment, Sequence};

/// Frames of a batch: bounds what planning costs between two slices.
const FRAMES_MAX: usize = 4096;

/// Bytes of a batch: what one send offers the kernel at most.
const BYTES_MAX: usize = 256 * 1024;

/// Sends between two looks at everything else: one slice holds the core for 1.3 to 2.5 ms.
pub(super) const SENDS_PER_SLICE: usize = 256;

/// The pass that is being sent.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// None: no pass is running.
    segment: Option<Segment>,
    first: u64,
    /// Where the core's position moves when the pass is over.
    end: Option<Sequence>,
    runs: Vec<Run>,
    /// Offsets of the runs' frames from `first`, one run after the other.
    frames: Vec<u32>,
    gathered: Vec<u8>,
    plan: Vec<Planned>,
    next: usize,
    dirty: Vec<GroupId>,
    /// Rotates who comes first.
    rotation: usize,
}

/// What one group gets.
#[derive(Clone, Debug)]
struct Run {
    framing: Framing,
    bytes: RunBytes,
    frames: Range<usize>,
}

#[derive(Clone, Debug)]
enum RunBytes {
    /// Where it lies in the segment.
    Segment(Range<usize>),
    /// Where it lies in `gathered`.
    Gathered(Range<usize>),
}

#[derive(Clone, Copy, Debug)]
struct Planned {
    socket: Socket,
    run: u32,
}

impl Pass {
    /// Whether a pass is running, and where the core will be after it.
    pub(super) fn end(&self) -> Option<Sequence> {
        self.end
    }

    /// Plans the next pass over the frames of `segment` in `from..wanted`.
    pub(super) fn plan(
        &mut self,
        groups: &mut Groups,
        segment: Segment,
        from: Sequence,
        wanted: Sequence,
    ) {
        self.first = from.number();
        let mut bytes = 0;
        let mut end = from;
        for frame in segment.frames(from..wanted).take(FRAMES_MAX) {
            if bytes >= BYTES_MAX {
                break;
            }
            bytes += frame.range().len();
            end = frame.sequence().plus(1);
            self.mark(groups, &frame);
        }
        self.end = Some(end);
        for index in 0..self.dirty.len() {
            self.plan_group(groups, &segment, self.dirty[index]);
        }
        self.dirty.clear();
        self.segment = Some(segment);
        self.rotation = self.rotation.wrapping_add(SENDS_PER_SLICE);
        let len = self.plan.len().max(1);
        self.plan.rotate_left(self.rotation % len);
    }

    /// Puts the next slice's sends into `sends`, of sockets that are live, and with each its run.
    /// [`advance`](Self::advance) by what this returns once they are made.
    pub(super) fn slice<'p>(
        &'p self,
        is_live: impl Fn(Socket) -> bool,
        sends: &mut Vec<Send<'p>>,
        runs: &mut Vec<u32>,
    ) -> usize {
        let mut looked_at = 0;
        for planned in &self.plan[self.next..] {
            if sends.len() == SENDS_PER_SLICE {
                break;
            }
            looked_at += 1;
            if is_live(planned.socket) {
                sends.push(Send { socket: planned.socket, bytes: self.bytes(planned.run) });
                runs.push(planned.run);
            }
        }
        looked_at
    }

    /// Says that the next `count` planned sends are done with.
    pub(super) fn advance(&mut self, count: usize) {
        self.next += count;
    }

    /// Whether every planned send has been made.
    pub(super) fn is_over(&self) -> bool {
        self.next == self.plan.len()
    }

    /// Forgets the plan, and keeps its memory for the next.
    pub(super) fn finish(&mut self) {
        self.segment = None;
        self.end = None;
        self.runs.clear();
        self.frames.clear();
        self.gathered.clear();
        self.plan.clear();
        self.next = 0;
    }

    /// Frames in a run.
    pub(super) fn frames_in(&self, run: u32) -> usize {
        self.runs[run as usize].frames.len()
    }

    /// Frames in the longest run.
    pub(super) fn frames_max(&self) -> usize {
        self.runs.iter().map(|run| run.frames.len()).max().unwrap_or(0)
    }

    /// Where a connection is that took only `sent` bytes of its run, and how many frames those
    /// complete.
    pub(super) fn cursor_after(&self, run: u32, mut sent: usize) -> (Cursor, usize) {
        let run = &self.runs[run as usize];
        let segment = self.segment.as_ref().expect("a pass is running");
        for (complete, &offset) in self.frames[run.frames.clone()].iter().enumerate() {
            let sequence = Sequence::new(self.first).plus(offset as usize);
            let frame = segment.frame(sequence).expect("planned from this segment");
            let len = framed(&frame, run.framing).len();
            if sent < len {
                return (Cursor { sequence, offset: sent }, complete);
            }
            sent -= len;
        }
        (Cursor::at(self.end.expect("a pass is running")), run.frames.len())
    }

    fn mark(&mut self, groups: &mut Groups, frame: &Frame<'_>) {
        let offset = (frame.sequence().number() - self.first) as u32;
        for topic in frame.topics() {
            for nth in 0..groups.of_topic(topic.id()).len() {
                let id = groups.of_topic(topic.id())[nth];
                let group = groups.get_mut(id);
                if group.live().is_empty() || group.pending.last() == Some(&offset) {
                    continue;
                }
                if group.pending.is_empty() {
                    self.dirty.push(id);
                }
                group.pending.push(offset);
            }
        }
    }

    fn plan_group(&mut self, groups: &mut Groups, segment: &Segment, id: GroupId) {
        let group = groups.get_mut(id);
        let frames = self.frames.len()..self.frames.len() + group.pending.len();
        self.frames.append(&mut group.pending);
        let framing = group.framing;
        let bytes = self.run_bytes(segment, frames.clone(), framing);
        let run = self.runs.len() as u32;
        self.runs.push(Run { framing, bytes, frames });
        self.plan.extend(group.live().iter().map(|&socket| Planned { socket, run }));
    }

    fn run_bytes(&mut self, segment: &Segment, frames: Range<usize>, framing: Framing) -> RunBytes {
        let offsets = &self.frames[frames];
        let frame = |offset: u32| {
            let sequence = Sequence::new(self.first).plus(offset as usize);
            segment.frame(sequence).expect("planned from this segment")
        };
        let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
        let is_dense = (last - first) as usize + 1 == offsets.len();
        if is_dense && framing == Framing::Chunked {
            return RunBytes::Segment(frame(first).range().start..frame(last).range().end);
        }
        let start = self.gathered.len();
        for &offset in offsets {
            self.gathered.extend_from_slice(framed(&frame(offset), framing));
        }
        RunBytes::Gathered(start..self.gathered.len())
    }

    fn bytes(&self, run: u32) -> &[u8] {
        match &self.runs[run as usize].bytes {
            RunBytes::Segment(range) => {
                self.segment.as_ref().expect("a pass is running").bytes(range.clone())
            }
            RunBytes::Gathered(range) => &self.gathered[range.clone()],
        }
    }
}

fn framed<'s>(frame: &Frame<'s>, framing: Framing) -> &'s [u8] {
    match framing {
        Framing::Chunked => frame.chunk(),
        Framing::Bare => frame.event(),
    }
}
