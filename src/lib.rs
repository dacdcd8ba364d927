//! Fanfare: a server-sent-events broadcast engine.

mod sync;

#[cfg(not(fanfare_loom))]
pub mod engine;
#[cfg(not(fanfare_loom))]
pub mod http;
pub mod limits;
pub mod log;
#[cfg(not(fanfare_loom))]
pub mod provider;
#[cfg(not(fanfare_loom))]
pub mod server;
#[cfg(not(fanfare_loom))]
pub mod sse;

#[cfg(not(fanfare_loom))]
pub use self::{
    engine::DriverChoice,
    log::LogOptions,
    provider::{LocalProvider, PublishError, Publisher, Receipt},
    server::{Server, ServerBuilder, StartError},
    sse::{EventId, EventType, Message},
};
