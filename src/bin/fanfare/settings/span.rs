//! A length of time, as a person writes it.

use std::{fmt, str::FromStr, time::Duration};

/// A length of time: `15s`, `100ms`, `1h 30m`; a bare number is seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    /// None where it is nothing.
    pub(crate) fn or_none(self) -> Option<Duration> {
        Some(self.0).filter(|time| !time.is_zero())
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(seconds) = text.parse() {
            return Ok(Self(Duration::from_secs(seconds)));
        }
        let expected = |fault| format!("expected a time, such as 15s, 100ms or 1h 30m: {fault}");
        humantime::parse_duration(text).map(Self).map_err(expected)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_survive_the_round_trip() {
        for (text, time) in [
            ("0s", Duration::ZERO),
            ("100ms", Duration::from_millis(100)),
            ("15s", Duration::from_secs(15)),
            ("1h 30m", Duration::from_secs(5400)),
        ] {
            assert_eq!(text.parse(), Ok(Span(time)));
            assert_eq!(Span(time).to_string(), text);
        }
        assert_eq!("15".parse(), Ok(Span(Duration::from_secs(15))));
        for text in ["", "-1s", "15 parsecs", "99999999999999999999s"] {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
    }
}
