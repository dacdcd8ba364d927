//! The lines of an event stream and the fields they hold, for whoever reads one.

use std::time::Duration;

use memchr::memchr2;

use super::text_of;

/// What a line is about. Names are exact: `Data`, ` data` and `data ` are no fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Comment,
    Data,
    Event,
    Id,
    Retry,
}

/// Bytes of the longest field's name.
pub(super) const NAME_BYTES_MAX: usize = 5;

const FIELDS: [(&[u8], Name); 4] =
    [(b"data", Name::Data), (b"id", Name::Id), (b"event", Name::Event), (b"retry", Name::Retry)];

/// Why the value of a `retry` field says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RetryError {
    /// There is no value.
    #[error("the value is empty")]
    Empty,
    /// A character is no ASCII digit.
    #[error("{character:?} at byte {offset} is not a digit")]
    NotADigit {
        /// The character; U+FFFD if the bytes are not UTF-8.
        character: char,
        /// Where it is, in bytes from the start of the value.
        offset: usize,
    },
    /// More than `u64::MAX` milliseconds.
    #[error("the value is beyond 2^64 milliseconds")]
    OutOfRange,
}

/// Where the first line ends, at a CR or LF.
#[inline]
pub(super) fn find_line_end(bytes: &[u8]) -> Option<usize> {
    memchr2(b'\n', b'\r', bytes)
}

/// A line without its end, and what follows. `None` if no line ends in `text`.
#[inline]
pub(super) fn split_line(text: &str) -> Option<(&str, &str)> {
    let end = find_line_end(text.as_bytes())?;
    let line_end = if text[end..].starts_with("\r\n") { 2 } else { 1 };
    Some((&text[..end], &text[end + line_end..]))
}

/// The field of a line that is not empty, and its value with what stands before it removed: for a
/// comment the colon, for a field also one space. `None` for a field that means nothing.
#[inline]
pub(super) fn split_field(line: &[u8]) -> Option<(Name, &[u8])> {
    if let [b':', comment @ ..] = line {
        return Some((Name::Comment, comment));
    }
    let (name, rest) =
        FIELDS.iter().find_map(|(text, name)| Some((*name, line.strip_prefix(*text)?)))?;
    match rest {
        [] => Some((name, rest)),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some((name, value)),
        _ => None,
    }
}

/// Whether the line that begins so, and goes on, may be a field or a comment.
pub(super) fn may_be_field(beginning: &[u8]) -> bool {
    split_field(beginning).is_some() || FIELDS.iter().any(|(name, _)| name.starts_with(beginning))
}

/// The time that the value of a `retry` field asks for.
pub(super) fn parse_retry(value: &[u8]) -> Result<Duration, RetryError> {
    if value.is_empty() {
        return Err(RetryError::Empty);
    }
    if let Some(offset) = value.iter().position(|byte| !byte.is_ascii_digit()) {
        let character = text_of(&value[offset..]).chars().next().unwrap_or_default();
        return Err(RetryError::NotADigit { character, offset });
    }
    let digit =
        |millis: u64, byte: &u8| millis.checked_mul(10)?.checked_add(u64::from(byte - b'0'));
    let millis = value.iter().try_fold(0, digit).ok_or(RetryError::OutOfRange)?;
    Ok(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact_and_one_space_goes() {
        for (line, field) in [
            ("data", Some((Name::Data, ""))),
            ("data:", Some((Name::Data, ""))),
            ("data:  a:b", Some((Name::Data, " a:b"))),
            ("id:\tx", Some((Name::Id, "\tx"))),
            ("event: ", Some((Name::Event, ""))),
            ("retry:1", Some((Name::Retry, "1"))),
            (": c", Some((Name::Comment, " c"))),
            ("Data: x", None),
            (" data: x", None),
            ("data : x", None),
            ("dat", None),
            ("idx: 1", None),
        ] {
            let field = field.map(|(name, value)| (name, value.as_bytes()));
            assert_eq!(split_field(line.as_bytes()), field, "{line:?}");
        }
    }

    #[test]
    fn a_beginning_is_kept_only_while_it_may_become_a_field() {
        for beginning in ["", "d", "dat", "data", "data:x", "re", "retry", "i", ":", ":c"] {
            assert!(may_be_field(beginning.as_bytes()), "{beginning:?}");
        }
        for beginning in ["x", "datx", "data ", "idd", "events", "\u{feff}"] {
            assert!(!may_be_field(beginning.as_bytes()), "{beginning:?}");
        }
    }

    #[test]
    fn retry_is_ascii_digits_up_to_u64() {
        let zeros = "0".repeat(300) + "5";
        for (value, millis) in [("0", 0), ("1500", 1500), (&*zeros, 5)] {
            assert_eq!(parse_retry(value.as_bytes()), Ok(Duration::from_millis(millis)));
        }
        assert_eq!(parse_retry(b"18446744073709551615"), Ok(Duration::from_millis(u64::MAX)));
        assert_eq!(parse_retry(b"18446744073709551616"), Err(RetryError::OutOfRange));
        assert_eq!(parse_retry(&[b'9'; 41]), Err(RetryError::OutOfRange));
        assert_eq!(parse_retry(b""), Err(RetryError::Empty));
        for (value, character, offset) in
            [("+5", '+', 0), ("1e3", 'e', 1), ("5\u{0665}", '\u{0665}', 1), (" 5", ' ', 0)]
        {
            let fault = RetryError::NotADigit { character, offset };
            assert_eq!(parse_retry(value.as_bytes()), Err(fault), "{value:?}");
        }
        assert!(parse_retry(b"1\xff").is_err());
    }
}
