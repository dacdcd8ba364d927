//! Who may come in: what the server above decides about a request, on the core's thread.

use std::os::fd::OwnedFd;

use crate::{http::RequestHead, provider::SubscribeRequest};

/// Decides what becomes of a request. Called on the cores: it must neither block nor wait.
pub trait Admission: std::fmt::Debug + Send + Sync + 'static {
    /// The verdict on a complete request head.
    fn admit(&self, head: &RequestHead<'_>) -> Verdict;
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is a subscription: the core serves it.
    Subscribe(SubscribeRequest),
    /// It is something else: the socket goes to the control runtime.
    HandOver,
    /// It gets this response, and its connection is closed.
    Refuse(Vec<u8>),
}

/// A socket that a core gives away.
#[derive(Debug)]
pub struct HandedOver {
    /// The socket, blocking, as an ordinary descriptor.
    pub socket: OwnedFd,
    /// What was received on it so far: at least one complete request head.
    pub received: Vec<u8>,
}
