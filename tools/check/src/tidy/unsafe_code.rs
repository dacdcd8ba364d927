//! `unsafe` is where memory is shared without a lock and where the kernel is given memory, and nowhere
//! else.

use super::Fault;
use super::source::Source;

const ALLOWED: [&str; 3] = [
    "src/log/append_only.rs",
    "src/engine/driver/uring.rs",
    // The floor that the engine is measured against submits to a ring of its own.
    "benches/fan_out/floor.rs",
];

pub(super) fn check(file: &Source) -> Vec<Fault> {
    if ALLOWED.contains(&&*file.path) {
        return Vec::new();
    }
    let tokens = file.tokens();
    let found = tokens.iter().filter(|token| token.text == "unsafe");
    let message = format!("`unsafe` is only in {}", ALLOWED.join(", "));
    found.map(|token| Fault::new(file, token.line, &*message)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_is_a_fault_where_it_is_not_expected() {
        for text in ["fn f() {\n unsafe { g() } }", "\nunsafe impl Send for A {}"] {
            let [fault] = &*check(&Source::new("src/log/segment.rs", text)) else {
                panic!("{text}")
            };
            assert_eq!(fault.line, 2);
        }
        assert_eq!(check(&Source::new("src/log/append_only.rs", "unsafe impl Send for A {}")), []);
    }

    #[test]
    fn speaking_of_it_is_none() {
        let text = "#![forbid(unsafe_code)] // unsafe\nconst A: &str = \"unsafe\";";
        assert_eq!(check(&Source::new("src/sse/mod.rs", text)), []);
        assert_eq!(check(&Source::new("README.md", "unsafe")), []);
    }
}
