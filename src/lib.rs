//! Fanfare: a server-sent-events broadcast engine.

pub mod limits;
pub mod sse;
