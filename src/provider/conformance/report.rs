//! What the rules found.

use std::fmt;

/// What every rule found, in the order of the rules.
#[derive(Clone, Debug)]
pub struct Report {
    pub(super) findings: Vec<Finding>,
}

/// What one rule found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// What it says.
    pub text: &'static str,
    /// How it went.
    pub outcome: Outcome,
}

/// How a rule went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider keeps it.
    Passed,
    /// The provider breaks it, and how.
    Failed(String),
    /// It is about what the provider does not do, and what that is.
    Skipped(&'static str),
}

impl Report {
    /// Every finding.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The rules that the provider breaks.
    pub fn failures(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| matches!(finding.outcome, Outcome::Failed(_)))
    }

    /// Ends a test.
    ///
    /// # Panics
    /// With each rule that the provider breaks, what it says, and how it is broken; unless none is.
    #[track_caller]
    pub fn assert(&self) {
        let failures: Vec<_> = self.failures().map(Finding::to_string).collect();
        if !failures.is_empty() {
            let (broken, rules) = (failures.len(), self.findings.len());
            panic!("the provider breaks {broken} of {rules} rules:\n{}", failures.join("\n"));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, text, outcome } = self;
        match outcome {
            Outcome::Passed => write!(f, "passed   {rule}"),
            Outcome::Failed(fault) => write!(f, "FAILED   {rule}: {fault}\n         Rule: {text}"),
            Outcome::Skipped(lacks) => write!(f, "skipped  {rule}: {lacks}"),
        }
    }
}
