//! Runs every target of `tools/fuzz` for a while.
//!
//! The corpus of earlier runs on this machine is kept in `tools/fuzz/corpus` and taken up again.

mod seeds;

use std::fs;
use std::io;
use std::time::Duration;

use crate::command::{Failure, cargo, root};
use crate::is_ci;
use crate::step::Outcome;

const FUZZ: &str = "tools/fuzz";

/// An input that takes so long is a fault: the longest of a sound target is a fraction of a second.
const INPUT_SECONDS_MAX: u32 = 25;

/// Runs each target for `time`, or says why it cannot.
pub(crate) fn run(time: Duration) -> Outcome {
    match missing() {
        None => run_targets(time).into(),
        Some(why) if is_ci() => Outcome::Failed(why.into()),
        Some(why) => {
            println!("skipped: {why}");
            Outcome::Skipped
        }
    }
}

/// What this machine lacks, and how to get it.
fn missing() -> Option<&'static str> {
    if !cargo("+nightly --version").succeeds() {
        return Some(
            "no nightly toolchain (rustup toolchain install nightly --profile minimal installs it)",
        );
    }
    let installed = cargo("fuzz --version").succeeds();
    (!installed).then_some("no cargo-fuzz (cargo install --locked cargo-fuzz installs it)")
}

fn run_targets(time: Duration) -> Result<(), Failure> {
    // Lints are those of the toolchain we build with. The target directory is that of the workspace,
    // where most of what it depends on is already checked.
    cargo(
        "clippy --manifest-path tools/fuzz/Cargo.toml --target-dir target --all-targets -- -D warnings",
    )
    .run()?;
    cargo(&format!("+nightly fuzz build --fuzz-dir {FUZZ}")).run()?;
    let targets = targets().map_err(|error| Failure(format!("{FUZZ}/targets: {error}")))?;
    let mut broken = Vec::new();
    for target in targets {
        seeds::write(&target).map_err(|error| Failure(format!("seeds of {target}: {error}")))?;
        match run_target(&target, time) {
            Ok(found) => println!("{target}: {found}"),
            Err((Failure(why), output)) => {
                println!("{target}: FAILED\n{output}\n{why}");
                broken.push(target);
            }
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(Failure(broken.join(", "))) }
}

/// The names of the targets, each of which is a file.
fn targets() -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root().join(FUZZ).join("targets"))? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        names.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

/// What the run did, in libFuzzer's words; or its output without the line of each input it kept.
fn run_target(target: &str, time: Duration) -> Result<String, (Failure, String)> {
    let seconds = time.as_secs();
    let output = cargo(&format!(
        "+nightly fuzz run --fuzz-dir {FUZZ} {target} {FUZZ}/corpus/{target} -- \
         -max_total_time={seconds} -timeout={INPUT_SECONDS_MAX} -dict={FUZZ}/dictionary"
    ))
    .capture()
    .map_err(|(failure, output)| (failure, without_progress(&output)))?;
    let done = output.lines().rev().find(|line| line.contains("\tDONE "));
    // Without it the target has not run as asked, whatever its status says.
    let done = done.ok_or_else(|| (Failure(format!("{target} did not finish")), output.clone()))?;
    Ok(done.replace('\t', " "))
}

fn without_progress(output: &str) -> String {
    let kept: Vec<_> = output.lines().filter(|line| !is_progress(line)).collect();
    kept.join("\n")
}

/// Whether it is a line as `#1024\tNEW    cov: 12 …`.
fn is_progress(line: &str) -> bool {
    let number = line.strip_prefix('#').and_then(|line| line.split_once('\t'));
    number.is_some_and(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failed_target_says_is_kept() {
        let output =
            "#7\tINITED cov: 1\nthread panicked\n#1024\tNEW    cov: 2\n    #1 0x55 in main";
        assert_eq!(without_progress(output), "thread panicked\n    #1 0x55 in main");
    }

    #[test]
    fn every_target_is_known_to_cargo() {
        let manifest = fs::read_to_string(root().join(FUZZ).join("Cargo.toml")).unwrap();
        let targets = targets().unwrap();
        assert_eq!(manifest.matches("[[bin]]").count(), targets.len());
        for target in targets {
            assert!(manifest.contains(&format!("name = \"{target}\"\n")), "{target}");
        }
    }
}
