//! Who may come in: what the server above decides about a request.
//!
//! A verdict that can be had at once is given on the core's thread. One that takes time, a signature
//! or a callback, is a question: it leaves the core, which goes on, and the answer comes back to it.

use std::time::Duration;
use std::{any::Any, fmt, future::Future, net::IpAddr, os::fd::OwnedFd, pin::Pin, sync::Arc};

use crossbeam::queue::SegQueue;
use tokio::sync::oneshot;

use super::driver::Socket;
use crate::{
    http::{self, RequestHead},
    provider::{Reader, SubscribeRequest},
};

/// Decides what becomes of a request. Called on the cores: it must neither block nor wait.
pub trait Admission: fmt::Debug + Send + Sync + 'static {
    /// The verdict on a complete request head from this address, which is given if
    /// [`needs_peer`](Self::needs_peer) says so and it is known.
    fn admit(&self, head: &RequestHead<'_>, peer: Option<IpAddr>) -> Verdict;

    /// Whether verdicts depend on where requests come from. Over io_uring the address costs three
    /// operations of the kernel.
    fn needs_peer(&self) -> bool {
        false
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Verdict {
    /// It is a subscription: the core serves it.
    Subscribe(Admitted),
    /// It is something else: the socket goes to the control runtime.
    HandOver,
    /// It gets this response, and its connection is closed.
    Refuse(Vec<u8>),
    /// It takes time to say.
    Ask(Question),
}

/// What a question comes to.
#[derive(Debug)]
pub enum Answer {
    /// The core serves the subscription.
    Subscribe(Admitted),
    /// The request gets this response, and its connection is closed.
    Refuse(Vec<u8>),
}

/// A decision that takes as long as it likes. It is dropped if the peer leaves before.
pub struct Question(Pin<Box<dyn Future<Output = Answer> + Send>>);

/// A subscription that may begin.
#[derive(Debug)]
pub struct Admitted {
    /// What it is of.
    pub request: SubscribeRequest,
    /// Whole header lines for its response head.
    pub headers: Vec<u8>,
    /// The stream ends so long after it began; none is as long as it likes.
    pub lasts: Option<Duration>,
    /// Dropped when the connection has ended.
    pub ticket: Option<Ticket>,
}

/// Something that is held as long as a connection lasts, such as a place among those of its address.
pub struct Ticket(#[expect(dead_code, reason = "held for its drop")] Box<dyn Any + Send>);

/// A socket that a core gives away.
#[derive(Debug)]
pub struct HandedOver {
    /// The socket, blocking, as an ordinary descriptor.
    pub socket: OwnedFd,
    /// What was received on it so far: at least one complete request head.
    pub received: Vec<u8>,
}

/// A question on its way to whoever runs it.
#[derive(Debug)]
pub struct Asked {
    question: Question,
    reply: Reply,
}

/// The answers that a core has not taken yet. At most one for each connection that asks.
pub(super) type Answers = Arc<SegQueue<(Socket, Answer)>>;

/// The way back to the core. Dropped without an answer it says that there is none.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) socket: Socket,
    pub(super) answers: Answers,
    pub(super) reader: Arc<Reader>,
    /// Closed when the peer has left.
    pub(super) asker: oneshot::Sender<()>,
    pub(super) is_given: bool,
}

impl Question {
    /// The decision that this future comes to.
    pub fn new(decision: impl Future<Output = Answer> + Send + 'static) -> Self {
        Self(Box::pin(decision))
    }
}

impl Ticket {
    /// Holds this.
    pub fn new(held: impl Any + Send) -> Self {
        Self(Box::new(held))
    }
}

impl From<SubscribeRequest> for Admitted {
    fn from(request: SubscribeRequest) -> Self {
        Self { request, headers: Vec::new(), lasts: None, ticket: None }
    }
}

impl Asked {
    pub(super) fn new(question: Question, reply: Reply) -> Self {
        Self { question, reply }
    }

    #[cfg(test)]
    pub(super) fn with(self, question: Question) -> Self {
        Self { question, ..self }
    }

    /// Runs the question, and gives its core the answer; ends early if the peer leaves.
    pub async fn run(self) {
        let Self { question, mut reply } = self;
        tokio::select! {
            biased;
            () = reply.asker.closed() => reply.is_given = true,
            answer = question.0 => reply.give(answer),
        }
    }
}

impl Reply {
    fn give(&mut self, answer: Answer) {
        self.is_given = true;
        self.answers.push((self.socket, answer));
        self.reader.notify();
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.is_given {
            self.give(Answer::Refuse(http::error(500, "the request could not be decided about")));
        }
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").finish_non_exhaustive()
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").finish_non_exhaustive()
    }
}
