//! What a comparison has found: all that the table is made of, and can be made of again.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::machine::Machine;

/// The whole of it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Record {
    pub(crate) machine: Machine,
    pub(crate) repeat: u32,
    /// Options for the load tester that were stronger than the scenarios'.
    pub(crate) load: Vec<String>,
    pub(crate) scenarios: Vec<String>,
    /// The first is what the others are compared with, if it is Fanfare.
    pub(crate) peers: Vec<Compared>,
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) runs: Vec<Run>,
}

/// A peer that took part.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Compared {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) settings: String,
}

/// A peer or scenario that did not, and why.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct LeftOut {
    pub(crate) name: String,
    pub(crate) why: String,
}

/// One run.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Run {
    pub(crate) scenario: String,
    pub(crate) peer: String,
    pub(crate) repeat: u32,
    /// The load tester's, or why there is none.
    pub(crate) report: Result<Value, String>,
}

impl Record {
    /// That in a file.
    ///
    /// # Errors
    /// In words: it cannot be read, or is no such record.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let fault = |error: String| format!("{}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
        serde_json::from_str(&text).map_err(|error| fault(error.to_string()))
    }

    /// Writes it to a file.
    ///
    /// # Errors
    /// In words, when it cannot.
    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        fs::write(path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))
    }

    /// What Fanfare is compared by: it could be run, and nothing went wrong with it.
    pub(crate) fn fanfare_holds(&self) -> bool {
        let passed = |run: &Run| run.report.as_ref().is_ok_and(|it| it["verdict"] == "passed");
        self.runs.iter().filter(|run| run.peer.starts_with("fanfare")).all(passed)
    }

    /// The runs of one row.
    pub(crate) fn runs_of<'r>(&'r self, scenario: &'r str, peer: &'r str) -> Vec<&'r Run> {
        let of_it = |run: &&Run| run.scenario == scenario && run.peer == peer;
        self.runs.iter().filter(of_it).collect()
    }
}
