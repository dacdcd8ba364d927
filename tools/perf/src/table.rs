//! The table, as README and ARCHITECTURE.md carry it.

use std::fmt;

use super::{
    measured::Measured,
    targets::{Aim, Measurement, Target},
};

/// The rows so far.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<[String; 6]>,
}

const HEAD: [&str; 6] = ["what", "target", "now (least..most)", "floor", "ratio", ""];

impl Table {
    /// Adds a row; none is a number that its program did not tell.
    pub(crate) fn add(&mut self, target: &Target, measured: Option<Measured>) {
        let aim = match target.aim {
            Aim::AtMost(most) => format!("<= {} {}", rounded(most), target.unit),
            Aim::AtLeast(least) => format!(">= {} {}", rounded(least), target.unit),
            Aim::TimesFloor(times) => format!("<= {times:.2} x floor"),
        };
        let what = target.what.to_owned();
        let Some(measured) = measured else {
            return self.rows.push([
                what,
                aim,
                "not told".into(),
                "".into(),
                "".into(),
                "?".into(),
            ]);
        };
        let Measured { value, least, most, floor } = measured;
        let spread = if least < most {
            format!(" ({}..{})", rounded(least), rounded(most))
        } else {
            String::new()
        };
        self.rows.push([
            what,
            aim.trim_end().to_owned(),
            format!("{} {}{spread}", rounded(value), target.unit),
            floor.map(rounded).unwrap_or_default(),
            measured.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
            if measured.meets(target.aim) { "met" } else { "missed" }.to_owned(),
        ]);
    }

    /// A measurement could not be made.
    pub(crate) fn fail(&mut self, measurement: &Measurement, fault: &str) {
        for target in measurement.targets {
            let row = [target.what, "", fault, "", "", "failed"].map(ToOwned::to_owned);
            self.rows.push(row);
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = HEAD.map(ToOwned::to_owned);
        writeln!(f, "| {} |", head.join(" | "))?;
        writeln!(f, "|{}", " --- |".repeat(HEAD.len()))?;
        self.rows.iter().try_for_each(|row| writeln!(f, "| {} |", row.join(" | ")))
    }
}

/// Three digits or so.
fn rounded(value: f64) -> String {
    let digits = match value.abs() {
        value if value >= 100.0 || value.fract() == 0.0 => 0,
        value if value >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if fraction.is_empty() { grouped } else { format!("{grouped}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_was_aimed_at_and_what_came_of_it() {
        let mut table = Table::default();
        let aim = Aim::TimesFloor(1.1);
        let target = Target { what: "cost", value: "", floor: Some(""), per: 1.0, unit: "us", aim };
        let measured = Measured { value: 4.6, least: 4.0, most: 5.0, floor: Some(4.0) };
        table.add(&target, Some(measured));
        table.add(&target, None);
        let text = table.to_string();
        assert!(
            text.contains("| cost | <= 1.10 x floor | 4.60 us (4..5) | 4 | 1.15 | missed |"),
            "{text}"
        );
        assert!(text.contains("not told"), "{text}");
    }

    #[test]
    fn numbers_have_three_digits_and_thousands() {
        for (number, text) in [
            (0.123, "0.12"),
            (9.87, "9.87"),
            (12.34, "12.3"),
            (1234.5, "1,234"),
            (100_000.0, "100,000"),
            (5.0, "5"),
        ] {
            assert_eq!(rounded(number), text);
        }
    }
}
