//! No file is longer than a reader's patience: blank lines and comments do not count.

use std::collections::BTreeSet;

use super::Fault;
use super::source::Source;

const CODE_LINES_MAX: usize = 800;

pub(super) fn check(file: &Source) -> Vec<Fault> {
    let lines: BTreeSet<_> = file.tokens().iter().flat_map(|token| token.lines()).collect();
    let first_over = lines.iter().nth(CODE_LINES_MAX);
    let message = format!("{} lines of code are more than {CODE_LINES_MAX}", lines.len());
    first_over.map(|line| Fault::new(file, *line, message)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_of_code_too_many_is_a_fault() {
        let text = "// a comment\n\nf();\n".repeat(CODE_LINES_MAX);
        assert_eq!(check(&Source::new("src/a.rs", &text)), []);
        let [fault] = &*check(&Source::new("src/a.rs", &(text + "g();\nh();"))) else { panic!() };
        assert_eq!((fault.line, &*fault.message), (2401, "802 lines of code are more than 800"));
    }

    #[test]
    fn the_lines_of_a_text_count() {
        let text = format!("const A: &str = \"{}\";", "\n".repeat(CODE_LINES_MAX));
        assert_eq!(check(&Source::new("src/a.rs", &text)).len(), 1);
        assert_eq!(check(&Source::new("src/a.txt", &text)), []);
    }
}
