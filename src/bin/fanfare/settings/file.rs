//! The settings file: TOML, one `name = value` a line, named as the flags are.

use std::borrow::Cow;

use toml::de::{DeTable, DeValue};

/// A setting as the file gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// From 1.
    pub(super) line: usize,
    pub(super) name: String,
    /// More than one where the file has a list.
    pub(super) values: Vec<String>,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) text: String,
}

/// The settings in the order of the file, and every fault that can be found.
pub(super) fn parse(text: &str) -> (Vec<Entry>, Vec<Fault>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut faults: Vec<Fault> = errors
        .iter()
        .map(|error| Fault {
            line: line_of(text, error.span().map_or(0, |span| span.start)),
            text: error.message().to_owned(),
        })
        .collect();
    if !faults.is_empty() {
        faults.sort_by_key(|fault| fault.line);
        // What a parser makes of the rest of a broken line is no use to anybody.
        return (Vec::new(), faults);
    }
    let mut entries = Vec::new();
    for (key, value) in table.get_ref() {
        let line = line_of(text, key.span().start);
        match texts(value.get_ref()) {
            Ok(values) => entries.push(Entry { line, name: key.get_ref().to_string(), values }),
            Err(what) => faults.push(Fault { line, text: format!("`{}` {what}", key.get_ref()) }),
        }
    }
    entries.sort_by_key(|entry| entry.line);
    faults.sort_by_key(|fault| fault.line);
    (entries, faults)
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// A value, or each of a list, as it would be written on the command line.
fn texts(value: &DeValue<'_>) -> Result<Vec<String>, &'static str> {
    match value {
        DeValue::Array(array) => array.iter().map(|item| one(item.get_ref())).collect(),
        value => Ok(vec![one(value)?]),
    }
}

fn one(value: &DeValue<'_>) -> Result<String, &'static str> {
    match value {
        DeValue::String(text) => Ok(Cow::into_owned(text.clone())),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|_| "is too large a number"),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(is) => Ok(is.to_string()),
        DeValue::Datetime(_) => Err("is a date, and no setting is one"),
        DeValue::Array(_) => Err("is a list of lists"),
        DeValue::Table(_) => Err("is a table: settings are written without one, `name = value`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_the_command_line_would_say() {
        let text = "# a comment\n\nsize = \"64MiB\"\ncores = 1_0\nhex = 0x10\nis = true\n\
                    list = [\"a\",\n  \"b\"]\nlast = 1.5";
        let (entries, faults) = parse(text);
        assert_eq!(faults, []);
        let entries: Vec<_> =
            entries.iter().map(|e| (e.line, &*e.name, e.values.join("|"))).collect();
        let expected = [
            (3, "size", "64MiB"),
            (4, "cores", "10"),
            (5, "hex", "16"),
            (6, "is", "true"),
            (7, "list", "a|b"),
            (9, "last", "1.5"),
        ];
        assert_eq!(entries, expected.map(|(line, name, value)| (line, name, value.to_owned())));
    }

    #[test]
    fn faults_name_their_lines() {
        let lines = |text| parse(text).1.iter().map(|fault| fault.line).collect::<Vec<_>>();
        assert_eq!(lines("a = 1\nb = \nc = 2\nd 3\n"), [2, 4]);
        assert_eq!(lines("a = 1\n\na = 2\n"), [3]);
        assert_eq!(lines("a = 1\n[b]\nc = 1\n"), [2]);
        assert_eq!(lines("a = 99999999999999999999\nb = 2026-01-01\nc = [[1]]"), [1, 2, 3]);
        assert!(lines("").is_empty());
    }
}
