//! What a message is, and its bytes on the wire.
//!
//! Pure: values in, bytes out, no clock and no I/O. What is written follows the event stream format
//! of the [HTML standard][html]; reading a stream back is a client's work and not done here.
//!
//! Invariant: no value of [`EventId`], [`EventType`] or [`Message`] can end a line early, so text
//! from a peer never becomes a field, or an event, of its own.
//!
//! [html]: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

mod field;
mod message;

#[cfg(test)]
mod conformance;

pub use field::{EventId, EventType, Field, FieldError, RESERVED_EVENT_TYPE_PREFIX};
pub use message::Message;
