//! Fanfare takes a message once, encodes it once, and puts the same bytes in front of every
//! subscriber: a broadcast engine for server-sent events, a thread per core, over io_uring or epoll.
//!
//! ```
//! use fanfare::{Message, Server};
//!
//! let server = Server::builder().listen("127.0.0.1:0").start()?;
//! server.publisher().publish(&Message::new("doors open"), &["lobby"])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The map
//!
//! - [`sse`]: what is on the wire: [`Message`], [`EventId`], [`EventType`].
//! - [`http`]: what is around it: request heads and a core's own replies.
//! - [`log`]: where frames live: one append-only order, in memory, with a bound.
//! - [`provider`]: who gets what: topics, publishing, where a subscription starts. Any HTTP stack can
//!   serve a [`provider::Subscription`].
//! - [`engine`]: how bytes move: cores and their drivers. It knows no path and no token.
//! - [`server`]: what is accepted: the HTTP surface, and [`Server`], which puts the parts together.
//! - [`client`]: the other end: one logical stream over as many connections as it takes.
//! - [`limits`]: every bound, with what it costs.
//!
//! ARCHITECTURE.md in the repository tells a message's life and numbers the invariants.

mod sync;

#[cfg(all(feature = "client", not(fanfare_loom)))]
pub mod client;
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

#[cfg(all(feature = "client", not(fanfare_loom)))]
pub use self::client::{Client, Connection};
#[cfg(not(fanfare_loom))]
pub use self::{
    engine::DriverChoice,
    log::LogOptions,
    provider::{LocalProvider, Provider, PublishError, Publisher, Receipt},
    server::{Server, ServerBuilder, StartError},
    sse::{Event, EventId, EventType, Message},
};
