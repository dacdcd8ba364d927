//! The steps, and what each of them runs.

use crate::arguments::Arguments;
use crate::command::{Failure, cargo};
use crate::{fuzz, tidy};

/// A check, in the order they run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Fmt,
    Clippy,
    Doc,
    Loom,
    Sim,
    Fuzz,
    Tidy,
    Test,
}

/// How a step ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// It cannot run on this machine, which is not CI.
    Skipped,
    Failed(String),
}

impl Step {
    pub(crate) const ALL: [Self; 8] = [
        Self::Fmt,
        Self::Clippy,
        Self::Doc,
        Self::Loom,
        Self::Sim,
        Self::Fuzz,
        Self::Tidy,
        Self::Test,
    ];

    /// As on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Doc => "doc",
            Self::Loom => "loom",
            Self::Sim => "sim",
            Self::Fuzz => "fuzz",
            Self::Tidy => "tidy",
            Self::Test => "test",
        }
    }

    /// What passing it says.
    pub(crate) const fn about(self) -> &'static str {
        match self {
            Self::Fmt => "the code is formatted",
            Self::Clippy => "no warnings",
            Self::Doc => "the documentation builds without warnings",
            Self::Loom => "no order of threads breaks the lock-free structures",
            Self::Sim => "no seed of the simulation breaks a promise of the engine",
            Self::Fuzz => "no input found breaks what the targets say",
            Self::Tidy => "the source keeps to our own rules",
            Self::Test => "cargo test --workspace",
        }
    }

    /// Runs it here and now.
    pub(crate) fn run(self, arguments: &Arguments) -> Outcome {
        let result = match self {
            Self::Fmt => fmt(),
            Self::Clippy => cargo("clippy --workspace --all-targets -- -D warnings").run(),
            Self::Doc => {
                cargo("doc --workspace --no-deps").env("RUSTDOCFLAGS", "-D warnings").run()
            }
            // A target directory of its own: the flags would have everything else built anew.
            Self::Loom => {
                cargo("test --release --package fanfare-loom-tests --target-dir target/loom")
                    .env("RUSTFLAGS", "--cfg fanfare_loom")
                    .run()
            }
            // Its features need little of what other tests do, and it builds them without optimising.
            Self::Sim => {
                cargo("test --lib --profile sim --no-default-features simulation -- --nocapture")
                    .env("FANFARE_SIM_SEEDS", SIMULATED_SEEDS)
                    .run()
            }
            Self::Fuzz => return fuzz::run(arguments.fuzz_time),
            Self::Tidy => tidy::run(),
            Self::Test => cargo("test --workspace").run(),
        };
        result.into()
    }
}

/// Half a minute's worth on two CPUs.
const SIMULATED_SEEDS: &str = "10000";

fn fmt() -> Result<(), Failure> {
    cargo("fmt --all --check").run()?;
    cargo("fmt --manifest-path tools/fuzz/Cargo.toml --check").run()
}

impl From<Result<(), Failure>> for Outcome {
    fn from(result: Result<(), Failure>) -> Self {
        result.map_or_else(|Failure(why)| Self::Failed(why), |()| Self::Passed)
    }
}
