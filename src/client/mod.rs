//! A client of event streams: one logical stream over as many connections as it takes.
//!
//! [`Client`] makes a [`Connection`], which is a `Stream` of [`Event`](crate::sse::Event)s. It
//! reconnects by itself, says what it received last, and waits as its [`Backoff`] and the server's
//! `retry` ask for; only what cannot get better ends it. Who prefers callbacks adds them by its
//! [`ConnectionHandle`]. [`read`] and [`read_blocking`] are for a body that ends, from any HTTP stack.
//!
//! ```
//! use fanfare::{Client, Message, Server, client::State};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::builder().listen("127.0.0.1:0").start()?;
//! let url = format!("http://{}/events?topic=lobby", server.local_addr());
//! let mut connection = Client::new()?.get(&url)?;
//!
//! let publisher = server.publisher();
//! connection.handle().on_state(move |state| {
//!     if state == State::Open {
//!         publisher.publish(&Message::new("doors open"), &["lobby"]).expect("a running server");
//!     }
//! });
//! while let Some(event) = connection.next().await {
//!     let event = event?;
//!     println!("{}: {}", event.event_type(), event.data());
//! #   assert_eq!(event.data(), "doors open");
//!     connection.handle().close();
//! }
//! # Ok(())
//! # }
//! ```
//!
//! No task is spawned: dropping a [`Connection`] cancels whatever it does at once. It needs a tokio
//! runtime with time and I/O.

mod backoff;
mod builder;
mod connection;
mod error;
mod handle;
mod listeners;
mod read;
mod request;
mod response;

#[cfg(test)]
mod tests;

pub use backoff::{Backoff, Jitter};
pub use builder::{BuildError, Client, ClientBuilder, InvalidUrl};
pub use connection::Connection;
pub use error::{ConnectionError, ErrorKind};
pub use handle::{ConnectionHandle, State};
pub use listeners::Listener;
pub use read::{ReadError, ReadIter, ReadStream, read, read_blocking};
pub use response::ResponseHead;
