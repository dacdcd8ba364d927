//! Nothing is left to do in what is committed, in whatever file: it is done, or written down where
//! such things are planned.

use super::Fault;
use super::source::Source;

/// In two pieces, so that they are not found here.
const MARKS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

pub(super) fn check(file: &Source) -> Vec<Fault> {
    let marked = file.text.lines().enumerate().filter_map(|(at, line)| Some((at + 1, mark(line)?)));
    marked.map(|(line, mark)| Fault::new(file, line, format!("a {mark} is left"))).collect()
}

/// The mark that is a word of the line.
fn mark(line: &str) -> Option<&str> {
    let mut words = line.split(|c: char| c != '_' && !c.is_alphanumeric());
    words.find(|word| MARKS.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_a_fault_in_any_file() {
        for mark in MARKS {
            for path in ["src/a.rs", "README.md", ".ci/run"] {
                let text = format!("one\n// {mark}(me): two\n");
                let [fault] = &*check(&Source::new(path, text)) else { panic!("{path}") };
                assert_eq!((fault.line, &*fault.message), (2, &*format!("a {mark} is left")));
            }
        }
    }

    #[test]
    fn a_part_of_a_word_is_none() {
        let text = format!("todo = \"warn\"\nMAS{}NTE\nA_{}\n", MARKS[0], MARKS[1]);
        assert_eq!(check(&Source::new("Cargo.toml", &text)), []);
    }
}
