//! The files of the repository, as the rules look at them.

use std::fs;
use std::io;
use std::path::Path;

use super::tokens::{Token, tokens};

/// Built, fetched or found here, and no part of the repository.
const PASSED_OVER: [&str; 7] =
    [".git", "target", "node_modules", ".venv", "corpus", "artifacts", "coverage"];

/// A file of text.
#[derive(Debug)]
pub(super) struct Source {
    /// From the root of the repository, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

impl Source {
    pub(super) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Its code; none if it is not Rust.
    pub(super) fn tokens(&self) -> Vec<Token<'_>> {
        if self.is_rust() { tokens(&self.text) } else { Vec::new() }
    }

    /// The part of `src/` that it belongs to: a folder, or a file directly there.
    pub(super) fn part(&self) -> Option<&str> {
        let path = self.path.strip_prefix("src/")?;
        Some(path.split_once('/').map_or(path, |(folder, _)| folder).trim_end_matches(".rs"))
    }
}

/// Every file of text below `root`.
pub(super) fn read(root: &Path) -> io::Result<Vec<Source>> {
    let mut files = Vec::new();
    read_folder(root, "", &mut files)?;
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn read_folder(folder: &Path, path: &str, files: &mut Vec<Source>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if PASSED_OVER.contains(&&*name) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            read_folder(&entry.path(), &format!("{path}{name}/"), files)?;
        } else if kind.is_file()
            && let Ok(text) = String::from_utf8(fs::read(entry.path())?)
        {
            files.push(Source::new(format!("{path}{name}"), text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::root;

    #[test]
    fn a_part_is_a_folder_or_a_file_of_src() {
        for (path, part) in [
            ("src/log/id.rs", Some("log")),
            ("src/sse/message/parse.rs", Some("sse")),
            ("src/limits.rs", Some("limits")),
            ("tests/it/main.rs", None),
        ] {
            assert_eq!(Source::new(path, "").part(), part);
        }
    }

    #[test]
    fn the_repository_is_read_and_what_is_built_is_not() {
        let files = read(&root()).unwrap();
        let has = |path: &str| files.iter().any(|file| file.path == path);
        assert!(has("src/lib.rs") && has("Cargo.toml") && has(".ci/run"));
        assert!(!files.iter().any(|file| file.path.starts_with("target/")));
    }
}
