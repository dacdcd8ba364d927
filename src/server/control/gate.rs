//! What stands between a connection and hyper: no request passes that the cores would not take.
//!
//! A core reads the first head of a connection only; the heads behind it reach hyper, which is more
//! lenient. So every head is read here by the same parser, and every body's end is found, before a byte
//! of them goes on. In the place of a head that is refused comes [`REPLACEMENT`], so the refusal goes out
//! in its turn, after the answers to the requests before it, and nothing behind it is read.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::{Sleep, sleep, timeout},
};

use crate::{
    http::{BodyEnd, BodyLength, Head, HeadError, parse_head_after},
    limits,
};

/// A head that hyper takes, and that does not pass the gate: so whoever reads it knows whose it is.
const REPLACEMENT: &[u8] = b"GET * HTTP/1.1\r\nHost: fanfare\r\nConnection: close\r\n\r\n";

/// Why a connection's last head is refused; nothing as long as none is.
pub(super) type Refusal = Arc<OnceLock<HeadError>>;

/// A connection of which hyper gets to read what is sound.
pub(super) struct Gate<S> {
    socket: S,
    /// What has arrived and has not gone on.
    received: BytesMut,
    /// How many of these bytes may go on.
    checked: usize,
    /// How many bytes behind them are known to be the beginning of a head.
    partial: usize,
    body: BodyEnd,
    refusal: Refusal,
    /// The peer sends no more.
    ended: bool,
    /// Runs while the peer takes nothing of what it is owed.
    stall: Option<Pin<Box<Sleep>>>,
}

/// Whether a request is [`REPLACEMENT`].
pub(super) fn is_replacement<B>(request: &http::Request<B>) -> bool {
    request.method() == http::Method::GET && request.uri().path() == "*"
}

impl<S> Gate<S> {
    /// Of a connection on which `received` has arrived, from the start of a head on.
    pub(super) fn new(received: &[u8], socket: S) -> Self {
        let mut gate = Self {
            socket,
            received: received.into(),
            checked: 0,
            partial: 0,
            body: BodyEnd::of(BodyLength::None),
            refusal: Refusal::default(),
            ended: false,
            stall: None,
        };
        gate.check();
        gate
    }

    /// Where the refusal will be.
    pub(super) fn refusal(&self) -> Refusal {
        Arc::clone(&self.refusal)
    }

    /// Moves [`checked`](Self::checked) on as far as what has arrived is sound.
    fn check(&mut self) {
        while self.refusal.get().is_none() && self.checked < self.received.len() {
            let new = &self.received[self.checked..];
            if !self.body.is_reached() {
                // A fault in a body is met again where it comes first, after what is sound.
                let Ok(taken) = self.body.take(new) else { return };
                self.checked += taken;
                continue;
            }
            match parse_head_after(new, self.partial) {
                Ok(Head::Partial) => {
                    self.partial = new.len();
                    return;
                }
                Ok(Head::Complete(head)) => {
                    self.body = BodyEnd::of(head.body_length());
                    self.checked += head.len;
                    self.partial = 0;
                }
                Err(fault) => self.refuse(fault),
            }
        }
    }

    fn refuse(&mut self, fault: HeadError) {
        self.received.truncate(self.checked);
        self.received.extend_from_slice(REPLACEMENT);
        self.checked = self.received.len();
        // Nothing is checked after the first.
        let _ = self.refusal.set(fault);
    }

    /// The fault of the body that is being passed on, if it comes next.
    fn body_fault(&mut self) -> Option<io::Error> {
        if self.received.is_empty() || self.body.is_reached() || self.checked > 0 {
            return None;
        }
        let fault = self.body.clone().take(&self.received).err()?;
        Some(io::Error::new(io::ErrorKind::InvalidData, fault))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Gate<S> {
    /// Says that no more comes, and throws away what the peer still sends: closing at once would reset
    /// the connection, and might take the last answer with it.
    pub(super) async fn linger(mut self) {
        if self.socket.shutdown().await.is_err() || self.ended {
            return;
        }
        let mut block = vec![0; limits::CONTROL_READ_BYTES];
        let discard = async {
            let mut discarded = 0;
            while discarded < limits::DISCARDED_BYTES_MAX
                && let Ok(count @ 1..) = self.socket.read(&mut block).await
            {
                discarded += count;
            }
        };
        // Whoever does not end in time is reset.
        let _ = timeout(limits::REFUSED_DEADLINE, discard).await;
    }
}

impl<S: AsyncRead + Unpin> Gate<S> {
    /// Receives what comes next, and checks it.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut block = [MaybeUninit::uninit(); limits::CONTROL_READ_BYTES];
        let mut block = ReadBuf::uninit(&mut block);
        ready!(Pin::new(&mut self.socket).poll_read(context, &mut block))?;
        self.ended |= block.filled().is_empty();
        self.received.extend_from_slice(block.filled());
        self.check();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gate<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.checked == 0 {
            if let Some(fault) = self.body_fault() {
                return Poll::Ready(Err(fault));
            }
            if self.refusal.get().is_some() {
                // What hyper has is its last request; the connection ends with the answer to it.
                return Poll::Pending;
            }
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_receive(context))?;
        }
        let count = self.checked.min(buffer.remaining());
        buffer.put_slice(&self.received[..count]);
        self.received.advance(count);
        self.checked -= count;
        if self.received.is_empty() {
            // An idle connection holds no buffer.
            self.received = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.watch(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.watch(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

impl<S> Gate<S> {
    /// Cuts a peer that takes no byte for [`limits::WRITE_STALL_DEADLINE`], as the cores do.
    fn watch<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let stall = || Box::pin(sleep(limits::WRITE_STALL_DEADLINE));
        ready!(self.stall.get_or_insert_with(stall).as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}
