//! Frames whose every byte the parser has already judged, kept to compare others with.
//!
//! In a broadcast all subscribers receive the same bytes. The first to receive a message has it
//! parsed and checked; what the message looked like on the wire, from one boundary between frames
//! to the next, is kept here under its sequence. A subscriber that stands at a boundary and expects
//! that sequence needs only compare: equal bytes in an equal state mean an equal result. Any other
//! byte sends it to the parser. So this is a cache of verdicts, and cannot hide a fault.
//!
//! Invariant: a kept frame, parsed from a boundary, is exactly one intact message of its sequence
//! and ends at a boundary.

/// Bytes of frames that are kept. A subscriber further behind is parsed in full.
const WINDOW_BYTES: usize = 8 * 1024 * 1024;
/// Frames that are kept (16 bytes each).
const WINDOW_FRAMES: usize = 256 * 1024;

/// The most recent frames by sequence.
#[derive(Debug, Default)]
pub(crate) struct Proven {
    bytes: Vec<u8>,
    frames: Vec<Frame>,
    /// Sequence of the first of `frames`.
    first: u64,
}

/// A frame's place in `Proven::bytes`; without bytes it is not known.
#[derive(Clone, Copy, Debug)]
struct Frame {
    start: u32,
    len: u32,
    intended_ns: u64,
}

impl Proven {
    /// The frame of a sequence: its bytes, and when it was meant to be published.
    #[inline]
    pub(crate) fn frame(&self, sequence: u64) -> Option<(&[u8], u64)> {
        let index = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
        let frame = self.frames.get(index)?;
        let start = frame.start as usize;
        let bytes = &self.bytes[start..start + frame.len as usize];
        (!bytes.is_empty()).then_some((bytes, frame.intended_ns))
    }

    /// Keeps a frame that came next in some subscriber's order. Sequences that were jumped stay
    /// unknown; those before the newest are not taken in any more.
    pub(crate) fn learn(&mut self, sequence: u64, intended_ns: u64, bytes: &[u8]) {
        let end = self.first + self.frames.len() as u64;
        if sequence < end || bytes.len() > WINDOW_BYTES / 4 {
            return;
        }
        let jumped = usize::try_from(sequence - end).unwrap_or(usize::MAX);
        if jumped >= WINDOW_FRAMES / 2 {
            self.restart_at(sequence);
        } else {
            let unknown = Frame { start: 0, len: 0, intended_ns: 0 };
            self.frames.resize(self.frames.len() + jumped, unknown);
        }
        self.make_room(bytes.len());
        let frame = Frame { start: self.bytes.len() as u32, len: bytes.len() as u32, intended_ns };
        self.bytes.extend_from_slice(bytes);
        self.frames.push(frame);
    }

    fn restart_at(&mut self, sequence: u64) {
        self.bytes.clear();
        self.frames.clear();
        self.first = sequence;
    }

    /// Forgets the older half when the window is full.
    fn make_room(&mut self, len: usize) {
        let full = self.bytes.len() + len > WINDOW_BYTES || self.frames.len() >= WINDOW_FRAMES;
        if !full {
            return;
        }
        let forgotten = self.frames.len() / 2 + 1;
        let cut = self.frames.drain(..forgotten.min(self.frames.len()));
        let cut_bytes = cut.map(|frame| frame.len).sum::<u32>();
        self.first += forgotten as u64;
        self.bytes.drain(..cut_bytes as usize);
        for frame in self.frames.iter_mut().filter(|frame| frame.len > 0) {
            frame.start -= cut_bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_by_their_sequence() {
        let mut proven = Proven::default();
        proven.learn(1, 10, b"one");
        proven.learn(3, 30, b"three");
        proven.learn(2, 20, b"too late");
        assert_eq!(proven.frame(1), Some((&b"one"[..], 10)));
        assert_eq!(proven.frame(3), Some((&b"three"[..], 30)));
        for unknown in [0, 2, 4] {
            assert_eq!(proven.frame(unknown), None);
        }
    }

    #[test]
    fn the_window_forgets_its_oldest_and_keeps_the_rest() {
        let mut proven = Proven::default();
        let frame = |sequence: u64| sequence.to_le_bytes().repeat(1_000);
        for sequence in 0..5_000 {
            proven.learn(sequence, sequence, &frame(sequence));
            assert!(proven.bytes.len() <= WINDOW_BYTES);
        }
        assert_eq!(proven.frame(0), None);
        let kept = (0..5_000).filter_map(|sequence| {
            proven.frame(sequence).map(|(bytes, _)| assert_eq!(bytes, frame(sequence)))
        });
        assert!(kept.count() > 400);
        assert!(proven.frame(4_999).is_some());
        proven.learn(10_000_000, 1, b"far");
        assert_eq!(proven.frame(4_999), None);
        assert_eq!(proven.frame(10_000_000), Some((&b"far"[..], 1)));
    }
}
