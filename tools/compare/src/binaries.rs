//! The programs of this workspace that a comparison starts: built in release, or found.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

/// Where the programs are.
#[derive(Debug)]
pub(crate) enum Binaries {
    /// As cargo has named them.
    Built(BTreeMap<String, PathBuf>),
    /// In one folder.
    In(PathBuf),
}

impl Binaries {
    /// Those in `folder`, or, without one, what cargo builds.
    ///
    /// # Errors
    /// In words: there is no such folder, or no cargo, or it fails.
    pub(crate) fn find(folder: Option<&Path>) -> Result<Self, String> {
        if let Some(folder) = folder {
            // What is started from there works in a folder of its own.
            let whole = folder.canonicalize();
            return whole.map(Self::In).map_err(|error| format!("{}: {error}", folder.display()));
        }
        eprintln!("fanfare-compare: building Fanfare, the load tester and the peers in Rust");
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--release", "--bins", "--message-format=json-render-diagnostics"])
            .args(["-p", "fanfare", "-p", "fanfare-load", "-p", "fanfare-compare"])
            .current_dir(workspace())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("starting cargo: {error}"))?;
        match output.status.success() {
            true => Ok(Self::Built(executables(&output.stdout))),
            false => Err(format!("cargo build: {}", output.status)),
        }
    }

    /// The program of this name.
    ///
    /// # Errors
    /// In words, when it is not there.
    pub(crate) fn path(&self, name: &str) -> Result<PathBuf, String> {
        let path = match self {
            Self::Built(paths) => paths.get(name).cloned(),
            Self::In(folder) => Some(folder.join(name)).filter(|path| path.is_file()),
        };
        path.ok_or_else(|| match self {
            Self::Built(_) => format!("cargo has built no {name}"),
            Self::In(folder) => format!("no {name} in {}", folder.display()),
        })
    }
}

/// The top folder of the sources.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("tools/compare is in it")
}

/// What cargo's messages name as executables.
fn executables(messages: &[u8]) -> BTreeMap<String, PathBuf> {
    let messages = messages.split(|&byte| byte == b'\n');
    let artifacts = messages.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let executable = |artifact: Value| {
        let path = artifact["executable"].as_str()?;
        Some((artifact["target"]["name"].as_str()?.to_owned(), PathBuf::from(path)))
    };
    artifacts.filter_map(executable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_names_the_executables() {
        let messages =
            br#"{"reason":"compiler-artifact","target":{"name":"fanfare"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"fanfare"},"executable":"/t/release/fanfare"}
{"reason":"build-finished","success":true}"#;
        let binaries = Binaries::Built(executables(messages));
        assert_eq!(binaries.path("fanfare"), Ok(PathBuf::from("/t/release/fanfare")));
        assert_eq!(binaries.path("peer"), Err("cargo has built no peer".to_owned()));
    }
}
