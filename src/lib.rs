//! Fanfare: a server-sent-events broadcast engine.

pub mod http;
pub mod limits;
pub mod sse;
