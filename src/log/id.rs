//! The automatic event id: `<epoch>-<position>`, as in `6f1d02aa-17`.
//!
//! The epoch is drawn at random when a Log begins, so an id from an earlier life is recognised and
//! not mistaken for one of ours.

use std::{fmt, str::FromStr};

/// An id that the Log gave: plain ASCII, at most [`AutomaticId::LEN_MAX`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AutomaticId {
    /// Which life of the Log.
    pub epoch: u32,
    /// Which frame in it.
    pub position: u64,
}

/// The text is not an automatic id: somebody's own, or another system's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an automatic event id, which is eight hexadecimal digits, a dash and a number")]
pub struct NotAutomatic;

/// An id's text, without an allocation.
#[derive(Clone, Copy, Debug)]
pub struct IdText {
    bytes: [u8; AutomaticId::LEN_MAX],
    len: u8,
}

const EPOCH_DIGITS: usize = 8;
const POSITION_DIGITS_MAX: usize = 20;

impl AutomaticId {
    /// Eight digits, a dash, and the digits of `u64::MAX`.
    pub const LEN_MAX: usize = EPOCH_DIGITS + 1 + POSITION_DIGITS_MAX;

    /// The id as text.
    pub fn text(self) -> IdText {
        let mut digits = [0; POSITION_DIGITS_MAX];
        let mut first = POSITION_DIGITS_MAX;
        let mut rest = self.position;
        loop {
            first -= 1;
            digits[first] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let mut bytes = [0; Self::LEN_MAX];
        for (index, digit) in bytes[..EPOCH_DIGITS].iter_mut().enumerate() {
            let shift = 4 * (EPOCH_DIGITS - 1 - index);
            *digit = b"0123456789abcdef"[(self.epoch >> shift & 0xf) as usize];
        }
        bytes[EPOCH_DIGITS] = b'-';
        let len = EPOCH_DIGITS + 1 + POSITION_DIGITS_MAX - first;
        bytes[EPOCH_DIGITS + 1..len].copy_from_slice(&digits[first..]);
        IdText { bytes, len: len as u8 }
    }
}

impl IdText {
    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len.into()]).expect("hex digits, a dash and digits")
    }
}

impl fmt::Display for AutomaticId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

impl FromStr for AutomaticId {
    type Err = NotAutomatic;

    /// Only the text that [`AutomaticId::text`] gives: one id has one spelling.
    fn from_str(text: &str) -> Result<Self, NotAutomatic> {
        let (epoch, position) = text.split_once('-').ok_or(NotAutomatic)?;
        if epoch.len() != EPOCH_DIGITS || position.len() > POSITION_DIGITS_MAX {
            return Err(NotAutomatic);
        }
        let epoch = u32::from_str_radix(epoch, 16).map_err(|_| NotAutomatic)?;
        let position = position.parse().map_err(|_| NotAutomatic)?;
        let id = Self { epoch, position };
        (id.text().as_str() == text).then_some(id).ok_or(NotAutomatic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling_and_survives_the_round_trip() {
        for position in [0, 1, 9, 10, 4_294_967_296, u64::MAX] {
            let id = AutomaticId { epoch: 0x00ab_cdef, position };
            assert_eq!(id.to_string(), format!("00abcdef-{position}"));
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn nothing_else_is_an_id() {
        let others = [
            "",
            "-",
            "00abcdef",
            "00abcdef-",
            "00ABCDEF-1",
            "+0abcdef-1",
            "0abcdef-1",
            "00abcdef-01",
            "00abcdef-+1",
            "00abcdef--1",
            "00abcdef-18446744073709551616",
            "00abcdef-1 ",
            "00abcdeg-1",
            "é0abcde-1",
        ];
        for text in others {
            assert_eq!(text.parse::<AutomaticId>(), Err(NotAutomatic), "{text:?}");
        }
    }
}
