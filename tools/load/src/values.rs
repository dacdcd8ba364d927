//! How values are typed on the command line.

use std::time::Duration;

use crate::payload;

/// Messages or connections per second.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    match text.replace([',', '_'], "").parse::<f64>() {
        Ok(rate) if (0.0..=10_000_000.0).contains(&rate) => Ok(rate),
        _ => Err("expected a number per second from 0 to 10,000,000".to_owned()),
    }
}

/// A rate above nothing.
pub(crate) fn some_rate(text: &str) -> Result<f64, String> {
    match rate(text)? {
        0.0 => Err("expected more than 0 per second".to_owned()),
        rate => Ok(rate),
    }
}

/// Bytes of a payload.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let range = payload::HEADER_BYTES..=payload::SIZE_MAX;
    match text.parse::<usize>() {
        Ok(size) if range.contains(&size) => Ok(size),
        _ => Err(format!(
            "expected {} (sequence, times and checksum) to {} bytes",
            range.start(),
            range.end()
        )),
    }
}

/// A time of more than nothing and at most a week.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let seconds_per_unit = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err("expected a time such as 5s, 500ms, 2m or 1h".to_owned()),
    };
    match digits.parse::<f64>() {
        Ok(value) if value > 0.0 && value * seconds_per_unit <= 604_800.0 => {
            Ok(Duration::from_secs_f64(value * seconds_per_unit))
        }
        _ => Err("expected a time of more than nothing and at most a week".to_owned()),
    }
}

/// A share, as in 10% or 0.1.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let (number, whole) = match text.strip_suffix('%') {
        Some(percent) => (percent, 100.0),
        None => (text, 1.0),
    };
    match number.trim().parse::<f64>() {
        Ok(value) if value > 0.0 && value < whole => Ok(value / whole),
        _ => Err("expected a share between nothing and all, as in 10% or 0.1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_their_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        for bad in ["", "s", "-1s", "0", "5 parsecs", "200h"] {
            assert!(duration(bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn a_payload_must_hold_its_stamp() {
        let smallest = payload::HEADER_BYTES;
        assert!(size(&(smallest - 1).to_string()).is_err());
        assert_eq!(size(&smallest.to_string()), Ok(smallest));
    }

    #[test]
    fn a_share_is_neither_nothing_nor_all() {
        assert_eq!((share("10%"), share("0.1")), (Ok(0.1), Ok(0.1)));
        for bad in ["0", "100%", "1", "-5%", "x"] {
            assert!(share(bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn a_rate_has_no_unit() {
        assert_eq!((rate("1,000"), rate("0")), (Ok(1_000.0), Ok(0.0)));
        assert!(rate("-1").is_err() && rate("1k").is_err() && some_rate("0").is_err());
    }
}
