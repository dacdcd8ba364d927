//! The two fields of an event that a publisher names: its id and its type.
//!
//! Both are text of one line. The check is made once, where a value is built, on every path that
//! builds one (constructor, conversion, deserialization), so that encoding never has to look again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits::{EVENT_ID_BYTES_MAX, EVENT_TYPE_BYTES_MAX};

/// Event types that begin with this are the engine's own: see [`EventType::is_reserved`].
pub const RESERVED_EVENT_TYPE_PREFIX: &str = "fanfare.";

/// A newtype over `Box<str>` whose every constructor runs [`check`].
macro_rules! text_field {
    ($(#[$docs:meta])* $name:ident, $field:expr) => {
        $(#[$docs])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks `text` and takes it as it is. Empty text is a value, not the absence of one.
            ///
            /// # Errors
            ///
            /// [`FieldError`] if the text is too long, or has a CR, LF or NUL.
            pub fn new(text: impl Into<String>) -> Result<Self, FieldError> {
                let text = text.into();
                check($field, text.as_bytes())?;
                Ok(Self(text.into_boxed_str()))
            }

            /// The text, without field name or line end.
            #[inline]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.0).finish()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = FieldError;

            fn from_str(text: &str) -> Result<Self, FieldError> {
                Self::try_from(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = FieldError;

            fn try_from(text: &str) -> Result<Self, FieldError> {
                check($field, text.as_bytes())?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = FieldError;

            fn try_from(text: String) -> Result<Self, FieldError> {
                Self::new(text)
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = FieldError;

            fn try_from(bytes: &[u8]) -> Result<Self, FieldError> {
                // The length first: how much text is looked at is then bounded.
                check($field, bytes)?;
                match str::from_utf8(bytes) {
                    Ok(text) => Ok(Self(text.into())),
                    Err(e) => Err(FieldError::NotUtf8 { field: $field, offset: e.valid_up_to() }),
                }
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0.into_string()
            }
        }
    };
}

text_field! {
    /// The id of an event: what a client sends back as `Last-Event-ID` when it reconnects.
    ///
    /// At most [`EVENT_ID_BYTES_MAX`] bytes of UTF-8 without CR, LF or NUL. The empty id is allowed
    /// and makes a client forget the id it holds.
    ///
    /// ```
    /// use fanfare::sse::EventId;
    ///
    /// let id = EventId::new("order-17")?;
    /// assert_eq!(id.as_str(), "order-17");
    /// assert!(EventId::new("17\ndata: forged").is_err());
    /// # Ok::<(), fanfare::sse::FieldError>(())
    /// ```
    EventId, Field::Id
}

text_field! {
    /// The type of an event: the name a browser dispatches it under, `message` where none is set.
    ///
    /// At most [`EVENT_TYPE_BYTES_MAX`] bytes of UTF-8 without CR, LF or NUL. The empty type means
    /// `message` to a client, as an absent one does.
    ///
    /// ```
    /// use fanfare::sse::EventType;
    ///
    /// let event: EventType = "price".parse()?;
    /// assert_eq!(event.to_string(), "price");
    /// # Ok::<(), fanfare::sse::FieldError>(())
    /// ```
    EventType, Field::Event
}

impl EventType {
    /// Whether the type begins with [`RESERVED_EVENT_TYPE_PREFIX`]. Such events tell a client about
    /// the stream itself (a gap, for one); publishing one is refused.
    ///
    /// ```
    /// use fanfare::sse::EventType;
    ///
    /// assert!(EventType::new("fanfare.gap")?.is_reserved());
    /// assert!(!EventType::new("fanfares")?.is_reserved());
    /// # Ok::<(), fanfare::sse::FieldError>(())
    /// ```
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with(RESERVED_EVENT_TYPE_PREFIX)
    }
}

/// Which field a [`FieldError`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The `id` field, an [`EventId`].
    Id,
    /// The `event` field, an [`EventType`].
    Event,
}

impl Field {
    const fn bytes_max(self) -> usize {
        match self {
            Self::Id => EVENT_ID_BYTES_MAX,
            Self::Event => EVENT_TYPE_BYTES_MAX,
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Id => "event id",
            Self::Event => "event type",
        })
    }
}

/// Why a text cannot be an [`EventId`] or an [`EventType`].
///
/// ```
/// use fanfare::sse::EventId;
///
/// let fault = EventId::new("a\nb").unwrap_err();
/// assert_eq!(fault.to_string(), "event id has a line feed at byte 1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// The caller's text has more bytes than the field may have.
    #[error("{field} has {len} bytes, more than {max}")]
    TooLong {
        /// The field.
        field: Field,
        /// Bytes of the text.
        len: usize,
        /// Most bytes allowed.
        max: usize,
    },
    /// The caller's text has a character that would end the line, or make clients drop the field.
    #[error("{field} has a {} at byte {offset}", name(*.byte))]
    Forbidden {
        /// The field.
        field: Field,
        /// The character: CR, LF or NUL.
        byte: u8,
        /// Where it is, in bytes from the start.
        offset: usize,
    },
    /// The caller's bytes are not UTF-8.
    #[error("{field} is not UTF-8 at byte {offset}")]
    NotUtf8 {
        /// The field.
        field: Field,
        /// Where the first fault is, in bytes from the start.
        offset: usize,
    },
}

pub(super) fn check(field: Field, text: &[u8]) -> Result<(), FieldError> {
    let (len, max) = (text.len(), field.bytes_max());
    if len > max {
        return Err(FieldError::TooLong { field, len, max });
    }
    match text.iter().position(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        Some(offset) => Err(FieldError::Forbidden { field, byte: text[offset], offset }),
        None => Ok(()),
    }
}

fn name(byte: u8) -> &'static str {
    match byte {
        b'\r' => "carriage return",
        b'\n' => "line feed",
        _ => "NUL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_constructor_refuses_what_would_end_the_line() {
        for (text, byte) in [("ab\r", b'\r'), ("ab\n", b'\n'), ("ab\0", 0)] {
            let fault = Err(FieldError::Forbidden { field: Field::Id, byte, offset: 2 });
            assert_eq!(EventId::new(text), fault);
            assert_eq!(text.parse::<EventId>(), fault);
            assert_eq!(EventId::try_from(text), fault);
            assert_eq!(EventId::try_from(text.to_owned()), fault);
            assert_eq!(EventId::try_from(text.as_bytes()), fault);

            let json = serde_json::to_string(text).unwrap();
            let refused = serde_json::from_str::<EventId>(&json).unwrap_err();
            assert!(refused.to_string().contains("at byte 2"), "{refused}");
            assert!(serde_json::from_str::<EventType>(&json).is_err());
        }
    }

    #[test]
    fn length_is_bounded_in_bytes() {
        let longest = "é".repeat(EVENT_ID_BYTES_MAX / 2);
        assert!(EventId::new(&*longest).is_ok());
        let fault = EventId::new(longest + "a").unwrap_err();
        assert_eq!(fault.to_string(), "event id has 129 bytes, more than 128");
        assert!(EventType::new("a".repeat(EVENT_TYPE_BYTES_MAX)).is_ok());
        assert!(EventType::new("a".repeat(EVENT_TYPE_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn bytes_must_be_utf8() {
        let fault = EventType::try_from(&b"ab\xff"[..]).unwrap_err();
        assert_eq!(fault, FieldError::NotUtf8 { field: Field::Event, offset: 2 });
        assert_eq!(fault.to_string(), "event type is not UTF-8 at byte 2");
        assert_eq!(EventType::try_from("é".as_bytes()).unwrap().as_str(), "é");
    }

    #[test]
    fn other_control_characters_and_the_empty_text_are_values() {
        for text in ["", " ", "\t\x0b\x0c\x1b", "\u{85}\u{2028}\u{2029}", "✓"] {
            assert_eq!(EventId::new(text).unwrap().as_str(), text);
            assert_eq!(EventType::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn serde_carries_the_bare_text() {
        let id = EventId::new("a \"b\"").unwrap();
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, r#""a \"b\"""#);
        assert_eq!(serde_json::from_str::<EventId>(&json).unwrap(), id);
        assert!(serde_json::from_str::<EventId>("7").is_err());
        assert_eq!(format!("{id:?}"), r#"EventId("a \"b\"")"#);
    }
}
