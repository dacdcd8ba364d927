//! What a message is, and its bytes on the wire.
//!
//! Pure: values in and bytes out, or bytes in and values out, no clock and no I/O. Both follow the event
//! stream format of the [HTML standard][html]. A [`Message`] is what is published, an [`Event`] what a
//! client receives, and a [`Parser`] makes the one from the bytes of the other.
//!
//! Invariant: no value of [`EventId`], [`EventType`] or [`Message`] can end a line early, so text
//! from a peer never becomes a field, or an event, of its own.
//!
//! [html]: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

mod event;
mod field;
mod line;
mod message;
mod parser;

#[cfg(test)]
mod conformance;

pub use event::{Event, EventRef};
pub use field::{EventId, EventType, Field, FieldError, RESERVED_EVENT_TYPE_PREFIX};
pub use line::RetryError;
pub use message::{Line, Message, MessageError};
pub use parser::{Dialect, Item, ParseError, Parser};

use parser::text_of;
