//! What a core asks of the kernel: readiness, and sends and receives that never wait.
//!
//! Every send and receive completes inside the call (`MSG_DONTWAIT`), so no buffer outlives it (I8).
//! What takes time is only announced: a watch fires once, as an [`Event`] of a later
//! [`Driver::wait`]. The core logic is written against this trait and knows no kernel.

mod epoll;
mod self_test;
#[cfg(test)]
pub(in crate::engine) mod sim;
mod socket;
mod uring;

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    os::fd::{BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::net::getpeername;

pub(super) use self::socket::{Socket, Sockets};
pub(super) use self::{epoll::Epoll, uring::Uring};

/// How a core moves bytes.
pub(super) trait Driver {
    /// Sends each without waiting, in order, and appends the outcome of each to `sent`.
    fn send(&mut self, sends: &[Send<'_>], sent: &mut Vec<Sent>);

    /// Receives what is there without waiting.
    fn receive(&mut self, socket: Socket, buffer: &mut [u8]) -> Received;

    /// Announces once when the socket has something to receive or has ended.
    fn watch(&mut self, socket: Socket, watch: Watch);

    /// Ends the sending side after what was sent.
    fn finish(&mut self, socket: Socket);

    /// Closes the socket (I9). It gives no more events, and its slot may be reused by the next.
    fn close(&mut self, socket: Socket);

    /// Takes the socket out as an ordinary descriptor; its slot may be reused.
    fn take(&mut self, socket: Socket) -> io::Result<OwnedFd>;

    /// Where it comes from; none if that cannot be said.
    fn peer(&mut self, socket: Socket) -> Option<IpAddr>;

    /// Accepts connections from now on, until an [`Event::AcceptFailed`] or [`Driver::stop_accepting`].
    fn accept(&mut self);

    /// Closes the listener.
    fn stop_accepting(&mut self);

    /// Appends what has happened to `events`; waits for something at most this long, none is for ever.
    fn wait(&mut self, timeout: Option<Duration>, events: &mut VecDeque<Event>) -> io::Result<()>;
}

/// One send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Send<'b> {
    pub(super) socket: Socket,
    pub(super) bytes: &'b [u8],
}

/// What became of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The kernel took this many bytes: all, some, or none as it has no room.
    Bytes(usize),
    /// The connection is broken.
    Broken,
}

/// What a receive gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// So many bytes.
    Bytes(usize),
    /// Nothing yet.
    Nothing,
    /// The peer has ended or the connection is broken.
    Ended,
}

/// What to announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    /// Something to receive, or the end.
    Readable,
    /// Room to send.
    Writable,
    /// The peer leaves. What it sends meanwhile is not looked at.
    Leave,
}

/// What has happened.
#[derive(Debug)]
pub(super) enum Event {
    /// A new connection.
    Accepted(Socket),
    /// A watch has fired.
    Ready(Socket, Watch),
    /// Accepting has failed and stopped.
    AcceptFailed(io::Error),
}

/// What a driver is made of.
#[derive(Debug)]
pub(super) struct DriverOptions<'o> {
    /// Listening, and not shared with another driver.
    pub(super) listener: TcpListener,
    /// An eventfd; it only ends a wait.
    pub(super) wake: BorrowedFd<'o>,
    /// Most sockets at a time.
    pub(super) sockets_max: usize,
}

/// Where a connected socket comes from; an IPv4 address as such, on whatever listener.
fn peer_of(socket: &OwnedFd) -> Option<IpAddr> {
    let address = SocketAddr::try_from(getpeername(socket).ok()??).ok()?;
    Some(address.ip().to_canonical())
}
