//! What a check has found, what it means, and the lines that mend it.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    /// It works, and less well or for fewer than it could.
    Warning,
    /// It does not do what it is for.
    Problem,
    /// It could not be looked at.
    Unknown,
}

/// What one check says.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Of which check, in one word.
    check: &'static str,
    level: Level,
    found: String,
    /// In numbers, where there are any.
    means: String,
    /// Alternatives, one for each kind of place it may be mended in.
    mend: Vec<Mend>,
}

/// A line to write somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Mend {
    /// Whose: the shell's, systemd's, nginx's.
    r#where: &'static str,
    line: &'static str,
}

/// A line that mends, and where it belongs.
pub(super) const fn mend(r#where: &'static str, line: &'static str) -> Mend {
    Mend { r#where, line }
}

impl Finding {
    pub(super) fn new(
        check: &'static str,
        level: Level,
        found: impl Into<String>,
        means: impl Into<String>,
    ) -> Self {
        Self { check, level, found: found.into(), means: means.into(), mend: Vec::new() }
    }

    /// Nothing to mend.
    pub(super) fn ok(
        check: &'static str,
        found: impl Into<String>,
        means: impl Into<String>,
    ) -> Self {
        Self::new(check, Level::Ok, found, means)
    }

    /// What could not be looked at, and why.
    pub(super) fn unknown(check: &'static str, why: impl Into<String>) -> Self {
        Self::new(check, Level::Unknown, why, "")
    }

    /// Adds lines that mend it, unless there is nothing to mend.
    pub(super) fn mended_by(mut self, mends: &[Mend]) -> Self {
        if matches!(self.level, Level::Warning | Level::Problem) {
            self.mend.extend_from_slice(mends);
        }
        self
    }

    pub(super) fn level(&self) -> Level {
        self.level
    }

    /// For people: what was found on one line, and what it means and what mends it beneath.
    pub(super) fn to_text(&self) -> String {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Problem => "problem",
            Level::Unknown => "unknown",
        };
        let mut text = format!("{level:<8} {:<12} {}\n", self.check, self.found);
        if !self.means.is_empty() {
            text += &format!("{:21} {}\n", "", self.means);
        }
        for Mend { r#where, line } in &self.mend {
            text += &format!("{:21} {where:<8} {line}\n", "");
        }
        text
    }
}

/// A number as people read it: 20,000.
pub(super) fn grouped(number: u64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_048_576, "1,048,576")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn what_is_in_order_needs_no_mending() {
        let lines = [mend("sysctl", "sysctl -w a=1")];
        assert_eq!(
            Finding::ok("a", "1", "").mended_by(&lines).to_text(),
            "ok       a            1\n"
        );
        let bad = Finding::new("a", Level::Problem, "0", "nothing works").mended_by(&lines);
        let text = bad.to_text();
        assert!(text.starts_with("problem  a            0\n"), "{text}");
        assert!(
            text.ends_with("nothing works\n                      sysctl   sysctl -w a=1\n"),
            "{text}"
        );
    }
}
