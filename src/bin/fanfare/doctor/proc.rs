//! Numbers that the kernel tells in files. What is missing or makes no sense is not there.

use std::{fs, str::FromStr};

/// The numbers in a file of `/proc`, as it has them between blanks; none if any is not one.
pub(super) fn numbers<T: FromStr>(path: &str) -> Option<Vec<T>> {
    parse(&fs::read_to_string(path).ok()?)
}

/// The one number in such a file.
pub(super) fn number<T: FromStr>(path: &str) -> Option<T> {
    let [number] = <[T; 1]>::try_from(numbers(path)?).ok()?;
    Some(number)
}

/// What `/proc/self/status` says under a name.
pub(super) fn status(name: &str) -> Option<String> {
    field(&fs::read_to_string("/proc/self/status").ok()?, name)
}

fn parse<T: FromStr>(text: &str) -> Option<Vec<T>> {
    text.split_ascii_whitespace().map(|number| number.parse().ok()).collect()
}

fn field(status: &str, name: &str) -> Option<String> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(rest.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_all_numbers_or_none() {
        assert_eq!(parse::<u16>("32768\t60999\n"), Some(vec![32768, 60999]));
        assert_eq!(parse::<u16>(""), Some(vec![]));
        for text in ["1 two", "-1", "70000", "1,2"] {
            assert_eq!(parse::<u16>(text), None, "{text}");
        }
        assert_eq!(number::<u64>("/proc/no/such/file"), None);
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let status = "SeccompX:\t1\nSeccomp:\t2\nCapEff:\t00ff\n";
        assert_eq!(field(status, "Seccomp").as_deref(), Some("2"));
        assert_eq!(field(status, "Cap"), None);
    }
}
