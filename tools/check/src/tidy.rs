//! Our own rules about the source: what no compiler and no lint can hold us to.
//!
//! A rule is a file below, a function from the source to its faults, with what is excepted in a list
//! at its top. ARCHITECTURE.md says why the rules are.

mod arrows;
mod clock;
mod length;
mod loom_cfg;
mod marks;
mod source;
mod tokens;
mod unsafe_code;

use std::fmt;

use self::source::Source;
use crate::command::{Failure, root};

/// A place in the source that breaks a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fault {
    path: String,
    line: usize,
    message: String,
}

/// Checks every file, and prints what is wrong.
pub(crate) fn run() -> Result<(), Failure> {
    let files = source::read(&root()).map_err(|error| Failure(format!("the source: {error}")))?;
    let faults = faults(&files);
    for fault in &faults {
        println!("{fault}");
    }
    match faults.len() {
        0 => {
            println!("{} files keep to the rules", files.len());
            Ok(())
        }
        count => Err(Failure(format!("rules broken: {count}"))),
    }
}

fn faults(files: &[Source]) -> Vec<Fault> {
    let rules = [unsafe_code::check, clock::check, length::check, marks::check, loom_cfg::check];
    let mut faults = arrows::check(files);
    faults.extend(rules.iter().flat_map(|rule| files.iter().flat_map(rule)));
    faults.sort_unstable();
    faults
}

impl Fault {
    fn new(source: &Source, line: usize, message: impl Into<String>) -> Self {
        Self { path: source.path.clone(), line, message: message.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, message } = self;
        write!(f, "{path}:{line}: {message}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_its_place_and_every_rule_is_asked() {
        let files = [
            Source::new("src/lib.rs", ""),
            Source::new("src/sse/a.rs", "use crate::log::Log;\n"),
            Source::new("src/sse/b.rs", "fn f() {\n    unsafe {}\n}"),
            Source::new("src/sse/c.rs", "fn f() { Instant::now(); }"),
            Source::new("src/sse/d.rs", "f();\n".repeat(801)),
            Source::new("src/sse/e.rs", concat!("// TO", "DO")),
            Source::new("src/sse/f.rs", "#[cfg(loom)]"),
        ];
        let faults: Vec<_> = faults(&files).iter().map(Fault::to_string).collect();
        assert_eq!(faults.len(), 6, "{faults:#?}");
        for file in ["a.rs:1: ", "b.rs:2: ", "c.rs:1: ", "d.rs:801: ", "e.rs:1: ", "f.rs:1: "] {
            let named = |fault: &String| fault.starts_with(&format!("src/sse/{file}"));
            assert!(faults.iter().any(named), "{file}: {faults:#?}");
        }
    }
}
