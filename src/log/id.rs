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

/// Writes the ids of one epoch, one after the other into the same memory.
#[derive(Debug)]
pub(super) struct IdWriter {
    text: String,
    /// Length of the epoch and the dash.
    prefix_len: usize,
}

const EPOCH_DIGITS: usize = 8;
const POSITION_DIGITS_MAX: usize = 20;

impl AutomaticId {
    /// Eight digits, a dash, and the digits of `u64::MAX`.
    pub const LEN_MAX: usize = EPOCH_DIGITS + 1 + POSITION_DIGITS_MAX;
}

impl IdWriter {
    pub(super) fn new(epoch: u32) -> Self {
        let mut text = AutomaticId { epoch, position: 0 }.to_string();
        text.reserve(AutomaticId::LEN_MAX - text.len());
        Self { text, prefix_len: EPOCH_DIGITS + 1 }
    }

    pub(super) fn write(&mut self, position: u64) -> &str {
        self.text.truncate(self.prefix_len);
        self.text.push_str(itoa::Buffer::new().format(position));
        &self.text
    }

    /// What was written last.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for AutomaticId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0EPOCH_DIGITS$x}-{}", self.epoch, self.position)
    }
}

impl FromStr for AutomaticId {
    type Err = NotAutomatic;

    /// Only the text that [`Display`](fmt::Display) gives: one id has one spelling.
    fn from_str(text: &str) -> Result<Self, NotAutomatic> {
        let (epoch, position) = text.split_once('-').ok_or(NotAutomatic)?;
        if epoch.len() != EPOCH_DIGITS || position.len() > POSITION_DIGITS_MAX {
            return Err(NotAutomatic);
        }
        let epoch = u32::from_str_radix(epoch, 16).map_err(|_| NotAutomatic)?;
        let position = position.parse().map_err(|_| NotAutomatic)?;
        let id = Self { epoch, position };
        (id.to_string() == text).then_some(id).ok_or(NotAutomatic)
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
            assert_eq!(IdWriter::new(id.epoch).write(position), id.to_string());
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
