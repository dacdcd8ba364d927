//! Where a report goes: the table to people, the document to files.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{ProgressMode, Report, csv, html};

/// The forms of output that are asked for.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct OutputArgs {
    /// Write the report as JSON to this file, or to standard output instead of the table (-)
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<String>,

    /// Write a line per slice of time to this file, and phases to a second one: run.csv, run.phases.csv
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,

    /// Write the report as one HTML page with plots to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// Print no table, and no line that shows how the run goes
    #[arg(long)]
    pub(crate) quiet: bool,
}

impl OutputArgs {
    /// How a run tells how it goes; `asked` is `--progress`.
    pub(crate) fn progress(&self, asked: bool) -> ProgressMode {
        ProgressMode::fitting(self.quiet, asked)
    }
}

/// Prints and writes what is asked for.
///
/// # Errors
/// Names the file that cannot be written, and why.
pub(crate) fn deliver(report: &Report, outputs: &OutputArgs) -> Result<(), String> {
    let to_stdout = outputs.json.as_deref() == Some("-");
    if let Some(path) = &outputs.json {
        let document = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
        if to_stdout {
            println!("{document}");
        } else {
            write(Path::new(path), &(document + "\n"))?;
        }
    }
    if let Some(path) = &outputs.csv {
        csv::write(report, path)?;
    }
    if let Some(path) = &outputs.html {
        write(path, &html::page(report)?)?;
    }
    if !outputs.quiet && !to_stdout {
        print!("{report}");
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
