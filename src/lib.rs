//! Fanfare: a server-sent-events broadcast engine.

pub mod limits;
