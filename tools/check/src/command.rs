//! Running cargo, in the root of the repository.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why a step failed.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

/// A command that is still to run.
#[derive(Debug)]
pub(crate) struct Cargo {
    command: Command,
    line: String,
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// `cargo` with these words.
pub(crate) fn cargo(words: &str) -> Cargo {
    // By name, not by the variable CARGO: only rustup's own knows what `+nightly` means.
    let mut command = Command::new("cargo");
    command.args(words.split_whitespace()).current_dir(root());
    Cargo { command, line: format!("cargo {words}") }
}

impl Cargo {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it, its output to ours.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        let status = self.command.status().map_err(|error| self.failure(error))?;
        if status.success() { Ok(()) } else { Err(self.failure(status)) }
    }

    /// Whether it runs to its end and says that all is well. Nothing is printed.
    pub(crate) fn succeeds(mut self) -> bool {
        let status = self.command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    /// Runs it and keeps what it writes to stderr, which is all that a fuzz target writes.
    pub(crate) fn capture(mut self) -> Result<String, (Failure, String)> {
        let output = self.command.stdout(Stdio::null()).output();
        let output = output.map_err(|error| (self.failure(error), String::new()))?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(text) } else { Err((self.failure(output.status), text)) }
    }

    fn failure(&self, why: impl std::fmt::Display) -> Failure {
        Failure(format!("{}: {why}", self.line))
    }
}
