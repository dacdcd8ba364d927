//! A message read back from the text that it makes on the wire.
//!
//! This is for whoever stores or forwards messages, and nothing else than what a publisher may say
//! comes out of it. A client reads a stream with a [`Parser`](crate::sse::Parser), which forgives
//! where this reports.

use std::{num::NonZeroU64, str::FromStr};

use super::{COMMENT, DATA, Message, append_line};
use crate::sse::{
    field::{EventId, EventType, FieldError},
    line::{Name, RetryError, parse_retry, split_field, split_line},
};

/// Why a text is not a [`Message`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// There is no field and no comment before the first blank line.
    #[error("there is no field or comment before the first blank line")]
    Empty,
    /// The last line is not ended, so it may be cut off.
    #[error("the last line, {line:?}, is not ended")]
    UnexpectedEnd {
        /// The line.
        line: String,
    },
    /// The id or type is none that may be published.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The reconnection time is no number of milliseconds.
    #[error("retry is {value:?}: {fault}")]
    Retry {
        /// The field's value.
        value: String,
        /// What is wrong with it.
        fault: RetryError,
    },
    /// The bytes are not UTF-8.
    #[error("the text is not UTF-8 at byte {offset}")]
    NotUtf8 {
        /// Where the first fault is, in bytes from the start.
        offset: usize,
    },
}

/// Reads the first event of the text, with its comments.
///
/// It ends at the first blank line, or at the end of the text; what follows is not looked at. Lines
/// may end in LF, CR or CRLF, and each of them must end. Of several ids, types or reconnection times
/// the last one holds; an id with a NUL is passed over, as clients do, and so are unknown fields.
///
/// ```
/// use fanfare::Message;
///
/// let message: Message = "id: 7\n: note\ndata: a\n\n".parse()?;
/// assert_eq!(message.to_string(), "id: 7\n: note\ndata: a\n\n");
///
/// let fault = "data: a\nretry: soon\n\n".parse::<Message>().unwrap_err();
/// assert_eq!(fault.to_string(), r#"retry is "soon": 's' at byte 0 is not a digit"#);
/// # Ok::<(), fanfare::sse::MessageError>(())
/// ```
///
/// # Errors
///
/// [`MessageError`], which names the fault.
impl FromStr for Message {
    type Err = MessageError;

    fn from_str(text: &str) -> Result<Self, MessageError> {
        let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut message = Self::empty();
        let mut found = false;
        while let Some((line, after)) = split_line(rest) {
            if line.is_empty() {
                rest = "";
                break;
            }
            found |= message.take_line(line)?;
            rest = after;
        }
        if !rest.is_empty() {
            return Err(MessageError::UnexpectedEnd { line: rest.to_owned() });
        }
        if found { Ok(message) } else { Err(MessageError::Empty) }
    }
}

impl TryFrom<&[u8]> for Message {
    type Error = MessageError;

    /// As from a [`str`](FromStr), for bytes that must be UTF-8.
    fn try_from(bytes: &[u8]) -> Result<Self, MessageError> {
        let text = str::from_utf8(bytes);
        text.map_err(|fault| MessageError::NotUtf8 { offset: fault.valid_up_to() })?.parse()
    }
}

impl Message {
    /// Whether the line is a field or comment, which is then set or appended.
    fn take_line(&mut self, line: &str) -> Result<bool, MessageError> {
        let Some((name, value)) = split_field(line.as_bytes()) else { return Ok(false) };
        // What is taken off the front is ASCII.
        let value = &line[line.len() - value.len()..];
        match name {
            Name::Data => append_line(&mut self.lines, DATA, value),
            Name::Comment => {
                append_line(&mut self.lines, COMMENT, value.strip_prefix(' ').unwrap_or(value));
            }
            Name::Event => self.event = Some(EventType::try_from(value)?),
            Name::Id if value.contains('\0') => {}
            Name::Id => self.id = Some(EventId::try_from(value)?),
            Name::Retry => {
                let after = parse_retry(value.as_bytes())
                    .map_err(|fault| MessageError::Retry { value: value.to_owned(), fault })?;
                self.retry_millis = NonZeroU64::new(after.as_millis() as u64);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn parse(text: &str) -> Result<Message, MessageError> {
        text.parse()
    }

    #[test]
    fn every_part_comes_back_in_its_order() {
        let message = Message::empty()
            .id(EventId::new("7").unwrap())
            .event(EventType::new("").unwrap())
            .retry(Duration::from_millis(1500))
            .comment(" one")
            .data("two\n three\n")
            .comment("")
            .data("");
        assert_eq!(parse(&message.to_string()), Ok(message.clone()));
        assert_eq!(Message::try_from(&*message.to_bytes()), Ok(message));
    }

    #[test]
    fn data_that_ends_in_a_line_end_is_exact() {
        for data in ["", "\n", "a\n", "a\n\n", "\na", " a", "a\u{2028}b\u{85}"] {
            let message = Message::new(data);
            let parsed = parse(&message.to_string()).unwrap();
            assert_eq!(parsed, message, "{data:?}");
            let lines: Vec<_> = parsed.lines().collect();
            assert_eq!(lines, Message::new(data).lines().collect::<Vec<_>>());
        }
    }

    #[test]
    fn any_line_end_will_do_and_the_first_blank_line_is_the_end() {
        let message = parse("\u{feff}data: a\rid: 1\r\nevent: x\nunknown: y\n\ndata: cut o");
        assert_eq!(message.unwrap().to_string(), "id: 1\nevent: x\ndata: a\n\n");
        assert_eq!(parse("data: a\n").unwrap(), Message::new("a"), "no blank line is needed");
        assert_eq!(parse("id: 1\nid: a\0b\nid: 2\n").unwrap().to_string(), "id: 2\n\n");
        assert_eq!(parse("data\n:c\n").unwrap().to_string(), "data: \n: c\n\n");
    }

    #[test]
    fn nothing_found_and_a_cut_off_line_are_errors() {
        for text in ["", "\n", "\ndata: a\n\n", "unknown: x\n\n"] {
            assert_eq!(parse(text), Err(MessageError::Empty), "{text:?}");
        }
        let fault = parse("data: a\ndata: b").unwrap_err();
        assert_eq!(fault.to_string(), r#"the last line, "data: b", is not ended"#);
    }

    #[test]
    fn a_field_that_says_nothing_sensible_is_named() {
        for (text, fault) in [
            ("retry:\n", r#"retry is "": the value is empty"#),
            ("retry: -5\n", r#"retry is "-5": '-' at byte 0 is not a digit"#),
            (
                "retry: 18446744073709551616\n",
                r#"retry is "18446744073709551616": the value is beyond 2^64 milliseconds"#,
            ),
            ("event: a\0\n", "event type has a NUL at byte 1"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), fault, "{text:?}");
        }
        let long = format!("id: {}\n\n", "x".repeat(129));
        assert!(matches!(parse(&long), Err(MessageError::Field(FieldError::TooLong { .. }))));
        assert_eq!(
            Message::try_from(&b"data: \xff\n"[..]),
            Err(MessageError::NotUtf8 { offset: 6 })
        );
    }

    #[test]
    fn a_reconnection_time_of_zero_is_read_and_not_written() {
        assert_eq!(parse("retry: 0\n\n"), Ok(Message::empty()));
        assert_eq!(parse("retry: 0\ndata: a\n\n"), Ok(Message::new("a")));
    }
}
