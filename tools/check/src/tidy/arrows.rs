//! Who may know whom: `sse, http ← log ← provider ← engine ← server ← bin`; `client → sse, http`.
//!
//! What counts is every path of the code that leaves its part: `crate::…`, `super::…` up to the root,
//! and the names that `lib.rs` passes on from a part. Tests keep to it too.

use std::collections::HashMap;

use super::Fault;
use super::source::Source;
use super::tokens::Token;

/// Each part of `src/` with those it may know.
const ARROWS: [(&str, &[&str]); 9] = [
    ("limits", &[]),
    ("sync", &[]),
    ("sse", &["limits"]),
    ("http", &["limits"]),
    ("log", &["limits", "sync", "sse", "http"]),
    ("provider", &["limits", "sync", "sse", "http", "log"]),
    ("engine", &["limits", "sync", "sse", "http", "log", "provider"]),
    ("server", &["limits", "sync", "sse", "http", "log", "provider", "engine"]),
    ("client", &["limits", "sse", "http"]),
];

/// `lib.rs` is the map of all parts, and the binary a user of the library like any other.
const FREE: [&str; 2] = ["lib", "bin"];

pub(super) fn check(files: &[Source]) -> Vec<Fault> {
    let map = files.iter().find(|file| file.path == "src/lib.rs");
    let passed_on = map.map(|map| names_passed_on(&map.tokens())).unwrap_or_default();
    files
        .iter()
        .filter(|file| file.is_rust())
        .flat_map(|file| check_file(file, &passed_on))
        .collect()
}

fn check_file(file: &Source, passed_on: &HashMap<String, String>) -> Vec<Fault> {
    let Some(part) = file.part().filter(|part| !FREE.contains(part)) else { return Vec::new() };
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == part) else {
        let message = format!(
            "the arrows do not say whom `{part}` may know (tools/check/src/tidy/arrows.rs)"
        );
        return vec![Fault::new(file, 1, message)];
    };
    let tokens = file.tokens();
    let mut faults = Vec::new();
    for (name, line) in names_of_the_root(&tokens, depth(&file.path)) {
        let known = passed_on.get(name).map_or(name, |part| part);
        if known != part && !allowed.contains(&known) {
            let message =
                format!("`{part}` must not know `{known}`; it may know {}", list(allowed));
            faults.push(Fault::new(file, line, message));
        }
    }
    faults
}

fn list(allowed: &[&str]) -> String {
    if allowed.is_empty() { "no other part".into() } else { allowed.join(", ") }
}

/// How many modules the file lies deep: `src/log/mod.rs` 1, `src/log/id.rs` 2.
fn depth(path: &str) -> usize {
    path.trim_end_matches("/mod.rs").matches('/').count()
}

/// The names that are looked up in the root, each with its line, in a file so many modules deep.
fn names_of_the_root<'t>(tokens: &[Token<'t>], depth: usize) -> Vec<(&'t str, usize)> {
    let mut names = Vec::new();
    // Of each brace that is open, whether it is a module's.
    let mut braces = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let before = |back: usize| at.checked_sub(back).map_or("", |at| tokens[at].text);
        match token.text {
            "{" => braces.push(before(2) == "mod"),
            "}" => _ = braces.pop(),
            "crate" | "super" if before(1) != "::" => {
                let modules = depth + braces.iter().filter(|is_module| **is_module).count();
                names.extend(behind_root(&tokens[at..], modules));
            }
            _ => {}
        }
    }
    names
}

/// What a path names behind the root, if it gets there.
fn behind_root<'t>(path: &[Token<'t>], modules: usize) -> Vec<(&'t str, usize)> {
    let supers = path.chunks(2).take_while(|step| is_step(step, "super")).count();
    let is_at_root = if supers == 0 { is_step(path, "crate") } else { supers >= modules };
    if is_at_root { first_names(&path[2 * supers.max(1)..]) } else { Vec::new() }
}

fn is_step(tokens: &[Token<'_>], name: &str) -> bool {
    matches!(tokens, [word, colons, ..] if word.text == name && colons.text == "::")
}

/// The name a path goes on with, or the names of a list in braces.
fn first_names<'t>(rest: &[Token<'t>]) -> Vec<(&'t str, usize)> {
    let Some(first) = rest.first() else { return Vec::new() };
    if first.text != "{" {
        return vec![(first.text, first.line)];
    }
    let mut names = Vec::new();
    let mut depth = 0;
    for (at, token) in rest.iter().enumerate() {
        match token.text {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ if depth == 1 && matches!(rest[at - 1].text, "{" | ",") => {
                names.push((token.text, token.line));
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// The part that each name of `lib.rs` is passed on from: `pub use self::{log::LogOptions, …}`.
fn names_passed_on(map: &[Token<'_>]) -> HashMap<String, String> {
    let mut names = HashMap::new();
    for (at, _) in map.iter().enumerate().filter(|(at, _)| is_step(&map[*at..], "self")) {
        let end = map[at..].iter().position(|token| token.text == ";");
        let tree = &map[at + 2..end.map_or(map.len(), |end| at + end)];
        let parts = first_names(tree);
        let mut part = "";
        for token in tree {
            if parts.iter().any(|(name, _)| *name == token.text) {
                part = token.text;
            } else if token.text.starts_with(char::is_alphabetic) {
                names.insert(token.text.to_owned(), part.to_owned());
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "pub use self::client::{Client, Connection};\n\
        pub use self::{engine::DriverChoice, log::LogOptions, sse::{Event, Message}};";

    fn faults(path: &str, text: &str) -> Vec<String> {
        let files = [Source::new("src/lib.rs", MAP), Source::new(path, text)];
        check(&files).iter().map(Fault::to_string).collect()
    }

    #[test]
    fn an_arrow_against_the_order_is_a_fault() {
        for (path, text) in [
            ("src/sse/parser.rs", "use crate::log::Log;"),
            ("src/http/mod.rs", "use crate::sse::Message;"),
            ("src/log/id.rs", "use crate::{limits, provider::{Publisher, Start}};"),
            ("src/provider/local.rs", "fn f() { crate::engine::start() }"),
            ("src/engine/core.rs", "use crate::{\n    log,\n    server,\n};"),
            ("src/client/mod.rs", "use crate::log;"),
            ("src/limits.rs", "use crate::sync::Arc;"),
        ] {
            assert_eq!(faults(path, text).len(), 1, "{path}: {text}");
        }
        assert_eq!(
            faults("src/engine/core.rs", "use crate::{\n    log,\n    server,\n};"),
            ["src/engine/core.rs:3: `engine` must not know `server`; it may know \
              limits, sync, sse, http, log, provider"]
        );
    }

    #[test]
    fn no_way_around_it() {
        for (path, text) in [
            // By a name of the root.
            ("src/sse/event.rs", "use crate::LogOptions;"),
            ("src/client/mod.rs", "fn f(choice: crate::DriverChoice) {}"),
            ("src/log/id.rs", "use crate::{Client};"),
            // By the parents.
            ("src/sse/mod.rs", "use super::log::Log;"),
            ("src/sse/message/json.rs", "use super::super::super::log;"),
            ("src/sse/line.rs", "mod tests { use super::super::super::http; }"),
            // From a test.
            ("src/sse/line.rs", "#[cfg(test)] mod tests { use crate::engine; }"),
            // All of it.
            ("src/sse/line.rs", "use crate::*;"),
        ] {
            assert_eq!(faults(path, text).len(), 1, "{path}: {text}");
        }
    }

    #[test]
    fn what_lies_below_may_be_known() {
        for (path, text) in [
            ("src/sse/parser.rs", "use crate::limits::A; use crate::sse::Event; use super::line;"),
            ("src/sse/message/json.rs", "use super::super::log; // a module of sse's own"),
            ("src/sse/line.rs", "mod tests { use super::*; use super::super::http; }"),
            ("src/server/mod.rs", "use crate::{engine::{self, x}, http, limits, sse::Message};"),
            ("src/client/tests.rs", "use crate::{Event, Message};"),
            ("src/log/id.rs", "pub(crate) fn f() {} // crate::server"),
            ("src/bin/fanfare/main.rs", "use fanfare::server;"),
            ("tests/it/main.rs", "use crate::harness;"),
        ] {
            assert_eq!(faults(path, text), [""; 0], "{path}: {text}");
        }
    }

    #[test]
    fn a_new_part_must_be_given_its_arrows() {
        let [fault] = &*faults("src/broker/redis.rs", "") else { panic!() };
        assert!(fault.contains("whom `broker` may know"), "{fault}");
    }
}
