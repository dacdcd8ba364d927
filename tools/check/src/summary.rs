//! The table at the end: step, seconds, how it ended.

use std::fmt;
use std::time::Duration;

use crate::step::{Outcome, Step};

/// What has run so far.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    rows: Vec<(Step, Duration, Outcome)>,
}

impl Summary {
    pub(crate) fn add(&mut self, step: Step, took: Duration, outcome: Outcome) {
        self.rows.push((step, took, outcome));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The names of the steps that failed, if any did.
    pub(crate) fn failed(&self) -> Option<String> {
        let failed = self.rows.iter().filter(|(.., outcome)| matches!(outcome, Outcome::Failed(_)));
        let names: Vec<_> = failed.map(|(step, ..)| step.name()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step     seconds")?;
        for (step, took, outcome) in &self.rows {
            write!(f, "\n{:<8} {:>7.1}  ", step.name(), took.as_secs_f64())?;
            match outcome {
                Outcome::Passed => f.write_str("ok")?,
                Outcome::Skipped => f.write_str("skipped")?,
                Outcome::Failed(why) => write!(f, "FAILED: {why}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_tells_what_ran_and_what_failed() {
        let mut summary = Summary::default();
        summary.add(Step::Fmt, Duration::from_millis(1_240), Outcome::Passed);
        summary.add(Step::Fuzz, Duration::ZERO, Outcome::Skipped);
        assert_eq!(summary.failed(), None);
        summary.add(Step::Tidy, Duration::from_secs(100), Outcome::Failed("2 faults".into()));
        summary.add(Step::Test, Duration::from_secs(1), Outcome::Failed("status".into()));
        assert_eq!(
            summary.to_string(),
            "step     seconds\n\
             fmt          1.2  ok\n\
             fuzz         0.0  skipped\n\
             tidy       100.0  FAILED: 2 faults\n\
             test         1.0  FAILED: status"
        );
        assert_eq!(summary.failed().as_deref(), Some("tidy, test"));
    }
}
