//! The cfg of the models is `fanfare_loom` and no other: a bare `loom` would reach every dependency.

use super::Fault;
use super::source::Source;
use super::tokens::Token;

const CFG: &str = "fanfare_loom";

pub(super) fn check(file: &Source) -> Vec<Fault> {
    let lines = if file.is_rust() { of_code(&file.tokens()) } else { of_text(&file.text) };
    let message = format!("the cfg of the models is `{CFG}`");
    lines.into_iter().map(|line| Fault::new(file, line, &*message)).collect()
}

fn is_other(word: &str) -> bool {
    word.contains("loom") && word != CFG
}

/// Lines of a `cfg(…)`, `cfg!(…)` or `cfg_attr(…)` with another name in it.
fn of_code(tokens: &[Token<'_>]) -> Vec<usize> {
    let is_cfg = |token: &Token<'_>| matches!(token.text, "cfg" | "cfg_attr");
    let mut lines = Vec::new();
    for (at, _) in tokens.iter().enumerate().filter(|(_, token)| is_cfg(token)) {
        let inside = tokens[at + 1..].iter().skip_while(|token| token.text == "!");
        let mut depth = 0;
        for token in inside {
            depth += match token.text {
                "(" => 1,
                ")" => -1,
                _ => 0,
            };
            if depth == 0 {
                break;
            }
            lines.extend(is_other(token.text).then_some(token.line));
        }
    }
    lines
}

/// Lines with another name in a `cfg(…)`, or behind a `--cfg`.
fn of_text(text: &str) -> Vec<usize> {
    let numbered = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    numbered.filter(|(_, line)| names_other(line)).map(|(number, _)| number).collect()
}

fn names_other(line: &str) -> bool {
    let is_end = |c: char| c != '_' && !c.is_alphanumeric();
    let mut in_parentheses = line
        .split("cfg(")
        .skip(1)
        .flat_map(|rest| rest.split(')').next().unwrap_or("").split(is_end));
    let mut in_flags = line
        .split("--cfg")
        .skip(1)
        .filter_map(|rest| rest.split(is_end).find(|word| !word.is_empty()));
    in_parentheses.any(is_other) || in_flags.any(is_other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> usize {
        check(&Source::new(path, text)).len()
    }

    #[test]
    fn another_name_is_a_fault() {
        for (path, text) in [
            ("src/a.rs", "#[cfg(loom)]"),
            ("src/a.rs", "#[cfg(all(test, not(loom)))] mod tests;"),
            ("src/a.rs", "#[cfg_attr(engine_loom, derive(A))]"),
            ("src/a.rs", "fn f() { if cfg!(loom) {} }"),
            ("Cargo.toml", "[target.'cfg(loom)'.dependencies]"),
            ("README.md", "`RUSTFLAGS=\"--cfg loom\" cargo test`"),
            (".ci/run", "RUSTFLAGS='--cfg=my_loom'"),
        ] {
            assert_eq!(faults(path, text), 1, "{path}: {text}");
        }
    }

    #[test]
    fn ours_and_the_crate_are_none() {
        for (path, text) in [
            ("src/a.rs", "#[cfg(all(test, not(fanfare_loom)))] use loom::model;"),
            ("src/a.rs", "fn f(cfg: A) { loom::model(cfg) }"),
            ("Cargo.toml", "[target.'cfg(fanfare_loom)'.dependencies]\nloom = \"0.7\""),
            ("README.md", "`--cfg fanfare_loom\" cargo test -p fanfare-loom-tests`"),
        ] {
            assert_eq!(faults(path, text), 0, "{path}: {text}");
        }
    }
}
