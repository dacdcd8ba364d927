//! A number of bytes, as a person writes it.

use std::{fmt, str::FromStr};

/// A number of bytes: `1000`, `512KiB`, `64MiB`, `2GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) usize);

const UNITS: [(&str, usize); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let with_unit = |&(unit, bytes)| Some((text.strip_suffix(unit)?, bytes));
        let (digits, unit) = UNITS.iter().find_map(with_unit).unwrap_or((text, 1));
        let number: usize = digits
            .trim_end()
            .parse()
            .map_err(|_| "expected a number of bytes, such as 1000, 512KiB, 64MiB or 2GiB")?;
        number.checked_mul(unit).map(Self).ok_or_else(|| format!("too many bytes: {text}"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().rev().find(|(_, bytes)| self.0 > 0 && self.0.is_multiple_of(*bytes)) {
            Some((unit, bytes)) => write!(f, "{}{unit}", self.0 / bytes),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_and_survive_the_round_trip() {
        for (text, bytes) in [("0", 0), ("1000", 1000), ("512KiB", 512 << 10), ("64MiB", 64 << 20)]
        {
            assert_eq!(text.parse(), Ok(Size(bytes)));
            assert_eq!(Size(bytes).to_string(), text);
        }
        for text in ["", "64MB", "64 mib", "-1", "1.5GiB", "KiB", "99999999999GiB"] {
            assert!(text.parse::<Size>().is_err(), "{text:?}");
        }
    }
}
