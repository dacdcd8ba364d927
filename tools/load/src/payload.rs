//! What a message carries so that its delivery can be audited.
//!
//! `ssssssssttttttttttttllllllllcccccccc` and filler, all plain text: the sequence (8 hex digits),
//! the intended publish time in nanoseconds of the run's clock (12), how far behind it the write
//! was in microseconds (8), and a checksum of all three (8), seeded per run so that another run's
//! messages do not pass. The filler is a window into a fixed pattern whose offset follows from the
//! sequence, so a message put together from halves of two others is caught by comparing it with
//! what it must be.

/// Bytes of sequence, time, lag and checksum; the smallest payload.
pub(crate) const HEADER_BYTES: usize = SEQUENCE_DIGITS + TIME_DIGITS + LAG_DIGITS + SUM_DIGITS;
/// Largest payload. Servers commonly refuse more in one message.
pub(crate) const SIZE_MAX: usize = 240 * 1024;

const SEQUENCE_DIGITS: usize = 8;
const TIME_DIGITS: usize = 12;
const LAG_DIGITS: usize = 8;
const SUM_DIGITS: usize = 8;
/// A prime, so that neighbouring sequences never share their filler.
const PATTERN_PERIOD: usize = 61;
const ALPHABET: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

/// Which message, when it was meant to be published, and when it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stamp {
    /// Position in the run, from 0.
    pub(crate) sequence: u64,
    /// When it was due, in nanoseconds of the run's clock; three days fit.
    pub(crate) intended_ns: u64,
    /// From then to the write that handed it to the socket, in microseconds; more than 71 minutes
    /// are told as that.
    pub(crate) lag_us: u32,
}

impl Stamp {
    /// The stamp of a message that was due at `intended_ns` and is written at `now_ns`.
    pub(crate) fn new(sequence: u64, intended_ns: u64, now_ns: u64) -> Self {
        let lag_us = now_ns.saturating_sub(intended_ns) / 1_000;
        Self { sequence, intended_ns, lag_us: u32::try_from(lag_us).unwrap_or(u32::MAX) }
    }

    /// When it was handed to the socket, in nanoseconds of the run's clock: where service time,
    /// which excuses a late publisher, counts from.
    pub(crate) fn sent_ns(self) -> u64 {
        self.intended_ns + u64::from(self.lag_us) * 1_000
    }
}

/// Writes and checks the payloads of one run.
#[derive(Clone, Debug)]
pub(crate) struct Format {
    seed: u64,
    size: usize,
    pattern: Vec<u8>,
}

impl Format {
    /// A format for payloads of `size` bytes, at least [`HEADER_BYTES`].
    pub(crate) fn new(size: usize, seed: u64) -> Self {
        assert!(size >= HEADER_BYTES, "a payload holds at least its stamp");
        let pattern = (0..size + PATTERN_PERIOD).map(|at| ALPHABET[at % PATTERN_PERIOD]).collect();
        Self { seed, size, pattern }
    }

    /// Bytes of each payload.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Appends the payload of `stamp` to `out`.
    pub(crate) fn encode(&self, stamp: Stamp, out: &mut Vec<u8>) {
        push_hex(out, stamp.sequence, SEQUENCE_DIGITS);
        push_hex(out, stamp.intended_ns, TIME_DIGITS);
        push_hex(out, stamp.lag_us.into(), LAG_DIGITS);
        push_hex(out, self.sum(stamp), SUM_DIGITS);
        out.extend_from_slice(self.filler(stamp.sequence));
    }

    /// The stamp in `data`, or `None` when one byte is not as it was written.
    pub(crate) fn decode(&self, data: &[u8]) -> Option<Stamp> {
        if data.len() != self.size {
            return None;
        }
        let (header, filler) = data.split_at(HEADER_BYTES);
        let (sequence, rest) = header.split_at(SEQUENCE_DIGITS);
        let (time, rest) = rest.split_at(TIME_DIGITS);
        let (lag, sum) = rest.split_at(LAG_DIGITS);
        let stamp = Stamp {
            sequence: parse_hex(sequence)?,
            intended_ns: parse_hex(time)?,
            lag_us: u32::try_from(parse_hex(lag)?).ok()?,
        };
        let intact = parse_hex(sum)? == self.sum(stamp) && filler == self.filler(stamp.sequence);
        intact.then_some(stamp)
    }

    fn filler(&self, sequence: u64) -> &[u8] {
        let from = (sequence % PATTERN_PERIOD as u64) as usize;
        &self.pattern[from..from + self.size - HEADER_BYTES]
    }

    /// 32 bits that change with every bit of the stamp and the seed.
    fn sum(&self, stamp: Stamp) -> u64 {
        let place = stamp.sequence << 32 | u64::from(stamp.lag_us);
        mix(mix(self.seed ^ place) ^ stamp.intended_ns) >> 32
    }
}

/// A splitmix64 finaliser.
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn push_hex(out: &mut Vec<u8>, value: u64, digits: usize) {
    debug_assert!(value >> (4 * digits) == 0, "the field holds its value");
    for digit in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(value >> (4 * digit)) as usize & 0xf]);
    }
}

fn parse_hex(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0, |value, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { sequence: 4_711, intended_ns: 5_000_000_123, lag_us: 1_250 };

    fn encoded(format: &Format, stamp: Stamp) -> Vec<u8> {
        let mut out = Vec::new();
        format.encode(stamp, &mut out);
        out
    }

    #[test]
    fn a_payload_comes_back() {
        for size in [HEADER_BYTES, 37, 128, 4_096] {
            let format = Format::new(size, 7);
            let data = encoded(&format, STAMP);
            assert_eq!(data.len(), size);
            assert_eq!(format.decode(&data), Some(STAMP));
        }
    }

    #[test]
    fn a_stamp_tells_when_it_was_due_and_when_it_was_written() {
        assert_eq!(STAMP.sent_ns(), 5_001_250_123);
        let late = Stamp::new(4_711, 5_000_000_123, 5_001_250_999);
        assert_eq!(late, STAMP);
        assert_eq!(Stamp::new(1, 2_000, 1_000).sent_ns(), 2_000);
        let stuck = Stamp::new(u32::MAX.into(), 0, u64::MAX);
        assert_eq!(stuck.lag_us, u32::MAX);
        let format = Format::new(HEADER_BYTES, 7);
        assert_eq!(format.decode(&encoded(&format, stuck)), Some(stuck));
    }

    #[test]
    fn no_escape_changes_a_payload() {
        let format = Format::new(4_096, 7);
        for sequence in 0..PATTERN_PERIOD as u64 {
            let data = encoded(&format, Stamp { sequence, ..STAMP });
            let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            assert!(data.into_iter().all(unreserved), "publishers do not escape it");
        }
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let format = Format::new(128, 7);
        let data = encoded(&format, STAMP);
        for at in 0..data.len() {
            for other in [b'0', b'1', b'f', b'Z', 0, 0xff] {
                let mut changed = data.clone();
                changed[at] = other;
                assert_eq!(format.decode(&changed).is_some(), changed == data, "byte {at}");
            }
        }
        assert_eq!(format.decode(&data[..127]), None);
    }

    #[test]
    fn another_run_and_a_torn_message_do_not_pass() {
        let format = Format::new(128, 7);
        let data = encoded(&format, STAMP);
        assert_eq!(Format::new(128, 8).decode(&data), None);
        let next = encoded(&format, Stamp { sequence: STAMP.sequence + 1, ..STAMP });
        let torn = [&data[..64], &next[64..]].concat();
        assert_eq!(format.decode(&torn), None);
    }
}
