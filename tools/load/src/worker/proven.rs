//! Frames whose every byte the parser has already judged, kept to compare others with.
//!
//! In a broadcast all subscribers receive the same bytes. The first to receive a message has it
//! parsed and checked; what the message looked like on the wire, from one boundary between frames
//! to the next, is kept here under its number. A subscriber that stands at a boundary and expects
//! that number needs only compare: equal bytes in an equal state mean an equal result. Any other
//! byte sends it to the parser. So this is a cache of verdicts, and cannot hide a fault.
//!
//! Invariant: a kept frame, parsed from a boundary, is exactly one intact message of its number
//! and ends at a boundary.

/// Bytes of frames that are kept. A subscriber further behind is parsed in full.
const WINDOW_BYTES: usize = 8 * 1024 * 1024;
/// Frames that are kept (24 bytes each).
const WINDOW_FRAMES: usize = 256 * 1024;

/// The most recent frames of one topic, by their number in it.
#[derive(Debug, Default)]
pub(crate) struct Proven {
    bytes: Vec<u8>,
    frames: Vec<Frame>,
    /// Number of the first of `frames`.
    first: u64,
}

/// A frame's place in `Proven::bytes`; without bytes it is not known.
#[derive(Clone, Copy, Debug)]
struct Frame {
    start: u32,
    len: u32,
    sent: Sent,
}

/// When a message was published.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Sent {
    /// When it was meant to be.
    pub(crate) intended_ns: u64,
    /// When it was.
    pub(crate) sent_ns: u64,
}

impl Proven {
    /// The frame of a message: its bytes, and when it was published.
    #[inline]
    pub(crate) fn frame(&self, number: u64) -> Option<(&[u8], Sent)> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let frame = self.frames.get(index)?;
        let start = frame.start as usize;
        let bytes = &self.bytes[start..start + frame.len as usize];
        (!bytes.is_empty()).then_some((bytes, frame.sent))
    }

    /// Keeps a frame that came next in some subscriber's order. Those that were jumped stay unknown;
    /// those before the newest are not taken in any more.
    pub(crate) fn learn(&mut self, number: u64, sent: Sent, bytes: &[u8]) {
        let end = self.first + self.frames.len() as u64;
        if number < end || bytes.len() > WINDOW_BYTES / 4 {
            return;
        }
        let jumped = usize::try_from(number - end).unwrap_or(usize::MAX);
        if jumped >= WINDOW_FRAMES / 2 {
            self.restart_at(number);
        } else {
            let unknown = Frame { start: 0, len: 0, sent: Sent::default() };
            self.frames.resize(self.frames.len() + jumped, unknown);
        }
        self.make_room(bytes.len());
        let frame = Frame { start: self.bytes.len() as u32, len: bytes.len() as u32, sent };
        self.bytes.extend_from_slice(bytes);
        self.frames.push(frame);
    }

    fn restart_at(&mut self, number: u64) {
        self.bytes.clear();
        self.frames.clear();
        self.first = number;
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

    fn sent(intended_ns: u64) -> Sent {
        Sent { intended_ns, sent_ns: intended_ns + 1 }
    }

    #[test]
    fn frames_are_found_by_their_number() {
        let mut proven = Proven::default();
        proven.learn(1, sent(10), b"one");
        proven.learn(3, sent(30), b"three");
        proven.learn(2, sent(20), b"too late");
        assert_eq!(proven.frame(1), Some((&b"one"[..], sent(10))));
        assert_eq!(proven.frame(3), Some((&b"three"[..], sent(30))));
        for unknown in [0, 2, 4] {
            assert_eq!(proven.frame(unknown), None);
        }
    }

    #[test]
    fn the_window_forgets_its_oldest_and_keeps_the_rest() {
        let mut proven = Proven::default();
        let frame = |number: u64| number.to_le_bytes().repeat(1_000);
        for number in 0..5_000 {
            proven.learn(number, sent(number), &frame(number));
            assert!(proven.bytes.len() <= WINDOW_BYTES);
        }
        assert_eq!(proven.frame(0), None);
        let kept = (0..5_000).filter_map(|number| {
            proven.frame(number).map(|(bytes, _)| assert_eq!(bytes, frame(number)))
        });
        assert!(kept.count() > 400);
        assert!(proven.frame(4_999).is_some());
        proven.learn(10_000_000, sent(1), b"far");
        assert_eq!(proven.frame(4_999), None);
        assert_eq!(proven.frame(10_000_000), Some((&b"far"[..], sent(1))));
    }
}
