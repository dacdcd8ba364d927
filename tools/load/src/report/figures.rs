//! Figures as people read them: commas between thousands, units, no more digits than mean something.

use std::fmt::Write as _;

use crate::histogram::Percentiles;

/// A number with commas between its thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number that need not be whole, with three digits or more.
pub(crate) fn number(value: f64) -> String {
    if value < 0.0 {
        return format!("-{}", number(-value));
    }
    match value {
        value if value == 0.0 || value >= 99.95 => count(value.round() as u64),
        value if value == value.round() => count(value as u64),
        value if value >= 9.995 => format!("{value:.1}"),
        value if value >= 0.9995 => format!("{value:.2}"),
        value if value >= 0.0005 => format!("{value:.3}"),
        value => format!("{value:.1e}"),
    }
}

/// A number where there is little room, as in 250k.
pub(crate) fn compact(value: f64) -> String {
    let short = |value: f64, unit: &str| format!("{}{unit}", (value * 100.0).round() / 100.0);
    match value {
        value if value >= 1e9 => short(value / 1e9, "G"),
        value if value >= 1e6 => short(value / 1e6, "M"),
        value if value >= 1e4 => short(value / 1e3, "k"),
        value if value >= 1.0 => count(value.round() as u64),
        value => short(value, ""),
    }
}

/// A time in milliseconds, without its unit.
pub(crate) fn ms(value: f64) -> String {
    if value < 999.95 { format!("{value:.2}") } else { count(value.round() as u64) }
}

/// Seconds, as far as they matter.
pub(crate) fn seconds(value: f64) -> String {
    match value {
        value if value < 10.0 && value != value.round() => format!("{value:.3} s"),
        value if value < 600.0 => format!("{} s", number(value)),
        value if value < 7_200.0 => format!("{} min", number(value / 60.0)),
        value => format!("{} h", number(value / 3_600.0)),
    }
}

/// Bytes of memory, in the unit that fits.
pub(crate) fn bytes(value: f64) -> String {
    match value.abs() {
        size if size < 1024.0 => format!("{} B", number(value)),
        size if size < 1024.0 * 1024.0 => format!("{} KiB", number(value / 1024.0)),
        size if size < 1024.0 * 1024.0 * 1024.0 => format!("{:.1} MiB", value / (1024.0 * 1024.0)),
        _ => format!("{:.2} GiB", value / (1024.0 * 1024.0 * 1024.0)),
    }
}

/// A distribution in one line. A percentile that fewer than one value lies above is left out.
pub(crate) fn percentiles(of: &Percentiles) -> String {
    let Percentiles { count, p50, p90, p99, p99_9, p99_99, max, .. } = *of;
    let mut text = format!("p50 {} ms, p90 {}, p99 {}", ms(p50), ms(p90), ms(p99));
    for (name, value, needs) in [("p99.9", p99_9, 1_000), ("p99.99", p99_99, 10_000)] {
        if count >= needs {
            let _ = write!(text, ", {name} {}", ms(value));
        }
    }
    let _ = write!(text, ", max {}", ms(max));
    text
}

/// A distribution where the middle and the end will do.
pub(crate) fn short_percentiles(of: &Percentiles) -> String {
    format!("p50 {} ms, p99 {}, max {}", ms(of.p50), ms(of.p99), ms(of.max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let shown = [0, 999, 1_000, 12_345, 1_234_567].map(count);
        assert_eq!(shown, ["0", "999", "1,000", "12,345", "1,234,567"]);
    }

    #[test]
    fn a_number_has_three_digits_or_more() {
        for (value, shown) in [
            (0.0, "0"),
            (5.0, "5"),
            (0.25, "0.250"),
            (2.5, "2.50"),
            (25.25, "25.2"),
            (99.96, "100"),
            (1_234.4, "1,234"),
            (-1_500.0, "-1,500"),
            (0.000_02, "2.0e-5"),
        ] {
            assert_eq!(number(value), shown, "{value}");
        }
    }

    #[test]
    fn little_room_is_enough() {
        let shown = [0.25, 20.0, 5_000.0, 20_000.0, 1.5e6, 2e9].map(compact);
        assert_eq!(shown, ["0.25", "20", "5,000", "20k", "1.5M", "2G"]);
    }

    #[test]
    fn units_fit_the_size() {
        assert_eq!(
            [12.0, 2_048.0, 3e6, 2e10].map(bytes),
            ["12 B", "2 KiB", "2.9 MiB", "18.63 GiB"]
        );
        assert_eq!(
            [0.25, 5.0, 90.5, 1_800.0, 36_000.0].map(seconds),
            ["0.250 s", "5 s", "90.5 s", "30 min", "10 h"]
        );
        assert_eq!([0.004, 12.5, 1_500.4].map(ms), ["0.00", "12.50", "1,500"]);
    }

    #[test]
    fn a_percentile_of_too_few_is_not_told() {
        let of = |count| Percentiles { count, max: 7.0, ..Percentiles::default() };
        assert!(!percentiles(&of(999)).contains("p99.9"));
        assert!(percentiles(&of(1_000)).contains("p99.9 0.00, max 7.00"));
        assert!(percentiles(&of(10_000)).contains("p99.99 "));
    }
}
