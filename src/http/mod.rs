//! The HTTP/1.1 a core speaks by itself: the head of a request, and the replies it writes.
//!
//! Pure: bytes in, values out, no clock and no I/O. Of bodies, only the end is found here. What a head leaves in
//! doubt about where its request ends is refused ([RFC 9112][rfc]), because whoever reads the rest
//! of the connection might resolve the doubt in another way.
//!
//! [rfc]: https://www.rfc-editor.org/rfc/rfc9112

mod body;
mod problem;
mod request;
mod response;

pub use body::{BodyEnd, BodyError};
pub use problem::{PROBLEM_JSON, Problem};
pub use request::{
    BodyLength, Head, HeadError, RequestHead, Version, parse_head, parse_head_after,
};
pub use response::{
    EVENT_STREAM_HEAD_CHUNKED, EVENT_STREAM_HEAD_CLOSE, HEARTBEAT_BARE, HEARTBEAT_CHUNKED,
    LAST_CHUNK, come_back, error, error_with, event_stream_head, method_not_allowed, reply,
};
