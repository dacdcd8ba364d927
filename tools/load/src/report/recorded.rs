//! Runs that have been made before: read from the documents that `--json` writes.

use clap::Args;
use serde::Deserialize;

use super::{OutputArgs, Report, SCHEMA, deliver};

/// `fanfare-load report`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RecordedArgs {
    /// What `--json` has written
    #[arg(value_name = "RUN.json")]
    run: String,

    /// Where the report goes
    #[command(flatten)]
    outputs: OutputArgs,
}

impl RecordedArgs {
    /// Makes the forms of output that are asked for.
    ///
    /// # Errors
    /// Names the file that cannot be read or written, and why.
    pub(crate) fn show(&self) -> Result<(), String> {
        deliver(&read(&self.run)?, &self.outputs)
    }
}

/// All that is looked at before the rest is.
#[derive(Deserialize)]
struct Marked {
    schema: String,
}

/// Reads a run's document.
///
/// # Errors
/// Names the file and what is wrong with it: not there, no JSON, or no document of [`SCHEMA`].
pub(crate) fn read(path: &str) -> Result<Report, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let Marked { schema } = serde_json::from_str(&text)
        .map_err(|error| format!("{path}: no report of fanfare-load: {error}"))?;
    if schema != SCHEMA {
        return Err(format!("{path}: a document of \"{schema}\", and \"{SCHEMA}\" is needed"));
    }
    serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let path = std::env::temp_dir().join(format!("fanfare-load-{}", std::process::id()));
        std::fs::write(&path, text).expect("the temporary folder is there");
        let outcome = read(&path.to_string_lossy());
        std::fs::remove_file(&path).expect("it was written");
        outcome.expect_err(text)
    }

    #[test]
    fn what_is_no_document_is_named() {
        assert!(refused("{").contains("no report of fanfare-load: EOF"));
        assert!(refused("{}").contains("missing field `schema`"));
        assert!(refused("{\"schema\":\"other/1\"}").contains("a document of \"other/1\""));
        let schema = format!("{{\"schema\":\"{SCHEMA}\"}}");
        assert!(refused(&schema).contains("missing field `scenario`"));
        assert!(read("/nowhere/run.json").expect_err("not there").contains("/nowhere/run.json: "));
    }
}
