//! A fan-out pass: one batch of frames to every live connection that wants some of them.
//!
//! A pass is planned at once and sent in slices, between which the core accepts, receives and
//! catches up. Its plan names sockets by generation, so members that end, or fall behind, while it
//! runs are simply skipped. Frames of one group that lie side by side are sent from where they are;
//! others are gathered, slice by slice, once for all of the group's sends in it.

use std::{ops::Range, time::Instant};

use super::{
    driver::{Send, Socket},
    group::{GroupId, Groups},
};
use crate::log::{Cursor, Frame, Framing, Segment, Sequence};

/// Frames of a batch: bounds what planning costs between two slices.
const FRAMES_MAX: usize = if cfg!(test) { 64 } else { 4096 };

/// Bytes of a batch for one group: what one send offers the kernel at most.
const BYTES_MAX: usize = if cfg!(test) { 32 * 1024 } else { 256 * 1024 };

/// Frames wanted by groups in a batch, counted once for each group (4 B each): where every connection
/// is a group of its own, a busy topic that all of them share makes the batch shorter.
const WANTED_MAX: usize = 1 << 20;

/// Gathered bytes beyond which a slice is ended early.
const GATHERED_BYTES_MAX: usize = 1024 * 1024;

/// Sends between two looks at everything else: one slice holds the core for 1.3 to 2.5 ms.
const SENDS_PER_SLICE: usize = if cfg!(test) { 4 } else { 256 };

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
    /// Messages that the pass offers to lagging subscribers, counted once for each.
    offered_to_lagging: usize,
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
    frames: Range<usize>,
}

/// Where a run's bytes are.
#[derive(Clone, Debug)]
enum RunBytes {
    /// Side by side in the segment.
    Segment(Range<usize>),
    /// In `gathered`.
    Gathered(Range<usize>),
}

/// The sends of one slice.
#[derive(Debug, Default)]
pub(super) struct Slice {
    sends: Vec<(Socket, u32, RunBytes)>,
    gathered: Vec<u8>,
    looked_at: usize,
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
        now: Instant,
    ) {
        self.first = from.number();
        self.offered_to_lagging = 0;
        let (mut fullest, mut marked) = (0, 0);
        let mut end = from;
        for frame in segment.frames(from..wanted).take(FRAMES_MAX) {
            if fullest >= BYTES_MAX || marked >= WANTED_MAX {
                break;
            }
            end = frame.sequence().plus(1);
            let (count, bytes) = self.mark(groups, &frame);
            fullest = fullest.max(bytes);
            marked += count;
        }
        self.end = Some(end);
        for index in 0..self.dirty.len() {
            self.plan_group(groups, self.dirty[index], now);
        }
        self.dirty.clear();
        self.segment = Some(segment);
        self.rotation = self.rotation.wrapping_add(SENDS_PER_SLICE);
        let len = self.plan.len().max(1);
        self.plan.rotate_left(self.rotation % len);
    }

    /// Chooses the next slice's sends, to sockets that are live. [`advance`](Self::advance) by it
    /// once they are made.
    pub(super) fn choose(&self, is_live: impl Fn(Socket) -> bool, slice: &mut Slice) {
        slice.sends.clear();
        slice.gathered.clear();
        slice.looked_at = 0;
        for planned in &self.plan[self.next..] {
            let is_full = slice.sends.len() == SENDS_PER_SLICE;
            if is_full || slice.gathered.len() >= GATHERED_BYTES_MAX {
                break;
            }
            slice.looked_at += 1;
            if is_live(planned.socket) {
                let bytes = match slice.sends.last() {
                    Some((_, run, bytes)) if *run == planned.run => bytes.clone(),
                    _ => self.find_bytes(planned.run, &mut slice.gathered),
                };
                slice.sends.push((planned.socket, planned.run, bytes));
            }
        }
    }

    /// The sends of a slice, each with its run.
    pub(super) fn sends<'p>(&'p self, slice: &'p Slice) -> impl Iterator<Item = (Send<'p>, u32)> {
        let segment = self.segment.as_ref();
        slice.sends.iter().map(move |(socket, run, bytes)| {
            let bytes = match bytes {
                RunBytes::Segment(range) => {
                    segment.expect("a pass is running").bytes(range.clone())
                }
                RunBytes::Gathered(range) => &slice.gathered[range.clone()],
            };
            (Send { socket: *socket, bytes }, *run)
        })
    }

    /// Says that a slice is done with.
    pub(super) fn advance(&mut self, slice: &Slice) {
        self.next += slice.looked_at;
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
        for (complete, &offset) in self.frames[run.frames.clone()].iter().enumerate() {
            let frame = self.frame(offset);
            let len = framed(&frame, run.framing).len();
            if sent < len {
                return (Cursor { sequence: frame.sequence(), offset: sent }, complete);
            }
            sent -= len;
        }
        (Cursor::at(self.end.expect("a pass is running")), run.frames.len())
    }

    /// Messages that it offers to lagging subscribers, counted once for each.
    pub(super) fn offered_to_lagging(&self) -> usize {
        self.offered_to_lagging
    }

    /// What is left of the frame in which a connection's run was cut.
    pub(super) fn rest_of_frame(&self, run: u32, cursor: Cursor) -> &[u8] {
        let offset = (cursor.sequence.number() - self.first) as u32;
        &framed(&self.frame(offset), self.runs[run as usize].framing)[cursor.offset..]
    }

    /// Marks a frame for the groups that want it, and says how many do and how many bytes the one of them
    /// wants that wants the most.
    fn mark(&mut self, groups: &mut Groups, frame: &Frame<'_>) -> (usize, usize) {
        let offset = (frame.sequence().number() - self.first) as u32;
        let (mut marked, mut fullest) = (0, 0);
        for topic in frame.topics() {
            for nth in 0..groups.of_topic(topic.id()).len() {
                let id = groups.of_topic(topic.id())[nth];
                let group = groups.get_mut(id);
                let is_wanted = !group.live().is_empty() || group.counting > 0;
                if !is_wanted || group.pending.last() == Some(&offset) {
                    continue;
                }
                if group.pending.is_empty() {
                    self.dirty.push(id);
                }
                group.pending.push(offset);
                marked += 1;
                if !group.live().is_empty() {
                    group.pending_bytes += frame.range().len();
                    fullest = fullest.max(group.pending_bytes);
                }
            }
        }
        (marked, fullest)
    }

    fn plan_group(&mut self, groups: &mut Groups, id: GroupId, now: Instant) {
        let group = groups.get_mut(id);
        group.offered += group.pending.len() as u64;
        self.offered_to_lagging += group.pending.len() * group.counting as usize;
        if group.live().is_empty() {
            return group.pending.clear();
        }
        group.active_at = now;
        let frames = self.frames.len()..self.frames.len() + group.pending.len();
        self.frames.append(&mut group.pending);
        group.pending_bytes = 0;
        let run = self.runs.len() as u32;
        self.runs.push(Run { framing: group.manner.framing, frames });
        self.plan.extend(group.live().iter().map(|&socket| Planned { socket, run }));
    }

    /// Where a run's bytes are, after gathering them if they don't lie side by side.
    fn find_bytes(&self, run: u32, gathered: &mut Vec<u8>) -> RunBytes {
        let run = &self.runs[run as usize];
        let offsets = &self.frames[run.frames.clone()];
        let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
        let is_dense = (last - first) as usize + 1 == offsets.len();
        if is_dense && run.framing == Framing::Chunked {
            let (first, last) = (self.frame(first), self.frame(last));
            return RunBytes::Segment(first.range().start..last.range().end);
        }
        let start = gathered.len();
        for &offset in offsets {
            gathered.extend_from_slice(framed(&self.frame(offset), run.framing));
        }
        RunBytes::Gathered(start..gathered.len())
    }

    fn frame(&self, offset: u32) -> Frame<'_> {
        let segment = self.segment.as_ref().expect("a pass is running");
        let sequence = Sequence::new(self.first).plus(offset as usize);
        segment.frame(sequence).expect("planned from this segment")
    }
}

fn framed<'s>(frame: &Frame<'s>, framing: Framing) -> &'s [u8] {
    match framing {
        Framing::Chunked => frame.chunk(),
        Framing::Bare => frame.event(),
    }
}
