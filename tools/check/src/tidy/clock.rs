//! ARCHITECTURE.md, I10: on the engine's path time enters by argument, and `Core::run` alone reads the
//! clock. Tests may read it.

use super::Fault;
use super::source::Source;
use super::tokens::{Token, without_tests};

/// What a frame passes on its way from a publisher to a socket.
const PARTS: [&str; 5] = ["sse", "http", "log", "provider", "engine"];

/// Functions that read the clock.
const ALLOWED: [(&str, &str); 3] = [
    ("src/engine/core.rs", "run"),
    // Before the engine runs: how long to wait for a port.
    ("src/engine/listener.rs", "refuse_shared"),
    // What a provider's clock is unless it is given another.
    ("src/provider/local/builder.rs", "default"),
];

pub(super) fn check(file: &Source) -> Vec<Fault> {
    let on_path = file.part().is_some_and(|part| PARTS.contains(&part));
    if !on_path || file.path.ends_with("/tests.rs") || file.path.ends_with("_tests.rs") {
        return Vec::new();
    }
    let tokens = file.tokens();
    let mut faults = Vec::new();
    let mut function = "";
    for code in without_tests(&tokens).windows(3) {
        if code[0].text == "fn" {
            function = code[1].text;
        }
        if reads_clock(code) && !ALLOWED.contains(&(&*file.path, function)) {
            let message = "time enters by argument: `Core::run` alone reads the clock (I10)";
            faults.push(Fault::new(file, code[0].line, message));
        }
    }
    faults
}

fn reads_clock(code: &[Token<'_>]) -> bool {
    matches!(
        [code[0].text, code[1].text, code[2].text],
        ["Instant" | "SystemTime", "::", "now"] | [_, ".", "elapsed"] | [_, _, "clock_gettime"]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> usize {
        check(&Source::new(path, text)).len()
    }

    #[test]
    fn reading_the_clock_is_a_fault_on_the_engines_path() {
        for text in [
            "fn f() { let now = Instant::now(); }",
            "fn f() { std::time::SystemTime::now() }",
            "fn f() { call(Instant::now) }",
            "fn f() { start.elapsed() }",
            "fn f() { rustix::time::clock_gettime(id) }",
        ] {
            for path in ["src/engine/fan_out.rs", "src/log/segment.rs", "src/engine/core.rs"] {
                assert_eq!(faults(path, text), 1, "{path}: {text}");
            }
        }
    }

    #[test]
    fn the_core_reads_it_where_it_runs_and_nowhere_else() {
        let text = "fn run(self) { Instant::now() }\nfn turn() { Instant::now() }";
        let [fault] = &*check(&Source::new("src/engine/core.rs", text)) else { panic!() };
        assert_eq!(fault.line, 2);
    }

    #[test]
    fn tests_and_other_parts_may() {
        let text = "fn f() { Instant::now() }";
        for path in ["src/engine/tests.rs", "src/engine/scripted_tests.rs", "src/client/mod.rs"] {
            assert_eq!(faults(path, text), 0, "{path}");
        }
        let inline = format!("fn g(now: Instant) {{}}\n#[cfg(test)]\nmod tests {{ {text} }}");
        assert_eq!(faults("src/engine/timers.rs", &inline), 0);
    }
}
