//! A socket and the wait for it, on either runtime.
//!
//! Sockets are non-blocking and are read by plain `recv` into one buffer that all tasks of the
//! thread share; what differs between the runtimes is only who says that there is something to
//! read. On tokio-uring that is a poll operation on its ring. A ring *read* would have to own a
//! buffer per subscriber while it waits: 64 MB of cold memory at 1,000 subscribers where one hot
//! 64 KiB buffer does, and a buffer the kernel may still write to when its task is gone.

use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use clap::ValueEnum;
use io_uring::{cqueue, opcode, types};
use rustix::io::ioctl_fionread;
use serde::{Deserialize, Serialize};
use socket2::{SockRef, Socket};
use tokio::net::TcpStream;
use tokio_uring::{OneshotOutputTransform, UnsubmittedOneshot};

/// Poll events, as in `poll(2)`: fixed by the kernel's interface.
const POLLIN: u32 = 0x1;
const POLLOUT: u32 = 0x4;

/// Submission queue entries; submissions go out when the runtime parks or the queue is full.
const URING_ENTRIES: u32 = 1_024;
/// Completions that fit before the kernel keeps them in a slower list.
const URING_COMPLETIONS: u32 = 16 * 1_024;

/// Which runtime receives.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
pub(crate) enum RuntimeChoice {
    /// tokio-uring, or tokio where io_uring is denied.
    Auto,
    /// tokio-uring, or an error.
    Uring,
    /// tokio over epoll.
    Tokio,
}

/// A runtime that is ready to run.
pub(crate) enum Runtime {
    /// tokio-uring.
    Uring(tokio_uring::Runtime),
    /// tokio over epoll.
    Tokio(tokio::runtime::Runtime, tokio::task::LocalSet),
}

/// Which runtime is in use, and why.
#[derive(Clone, Debug)]
pub(crate) struct RuntimeName {
    /// `tokio-uring` or `tokio`.
    pub(crate) name: &'static str,
    /// Why it is this one.
    pub(crate) why: String,
}

impl Runtime {
    /// Builds what was chosen. `Auto` tries to make a ring and takes tokio when that is denied.
    pub(crate) fn build(choice: RuntimeChoice) -> io::Result<(Self, RuntimeName)> {
        if choice == RuntimeChoice::Tokio {
            return Self::tokio("asked for".to_owned());
        }
        // Kernels before 6.0 refuse the quick flags; a system that denies io_uring refuses both.
        match uring(Tuned::Quick).or_else(|_| uring(Tuned::Plain)) {
            Ok(runtime) => {
                let why = "io_uring is available".to_owned();
                Ok((Self::Uring(runtime), RuntimeName { name: "tokio-uring", why }))
            }
            Err(error) if choice == RuntimeChoice::Uring => Err(error),
            Err(error) => Self::tokio(format!("io_uring is denied here: {error}")),
        }
    }

    fn tokio(why: String) -> io::Result<(Self, RuntimeName)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let local = tokio::task::LocalSet::new();
        Ok((Self::Tokio(runtime, local), RuntimeName { name: "tokio", why }))
    }

    /// Runs `future` and the tasks it spawns with `spawn_local`, on this thread.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self {
            Self::Uring(runtime) => runtime.block_on(future),
            Self::Tokio(runtime, local) => local.block_on(runtime, future),
        }
    }

    /// What opens links on this runtime.
    pub(crate) fn driver(&self) -> Driver {
        match self {
            Self::Uring(_) => Driver::Uring,
            Self::Tokio(..) => Driver::Tokio,
        }
    }
}

/// How a ring is set up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Tuned {
    /// Completions wait until this thread enters the kernel anyway instead of interrupting it:
    /// measured, p50 at 1,000 subscribers x 1,000/s goes from 7-10 ms to 4.6 ms. (Deferring them
    /// altogether makes tokio-uring hang.)
    Quick,
    /// As old kernels have it.
    Plain,
}

fn uring(tuned: Tuned) -> io::Result<tokio_uring::Runtime> {
    let mut ring = tokio_uring::uring_builder();
    ring.setup_cqsize(URING_COMPLETIONS);
    if tuned == Tuned::Quick {
        ring.setup_coop_taskrun().setup_taskrun_flag().setup_single_issuer();
    }
    tokio_uring::Runtime::new(tokio_uring::builder().entries(URING_ENTRIES).uring_builder(&ring))
}

/// Who waits for a link.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Driver {
    /// A poll operation on the ring.
    Uring,
    /// tokio's epoll.
    Tokio,
}

/// A non-blocking socket one can wait for.
#[derive(Debug)]
pub(crate) enum Link {
    /// Waited for on the ring. Shared with operations in flight, so that the descriptor's number
    /// cannot be given to another file while the ring knows it.
    Uring(Rc<Socket>),
    /// Waited for by tokio, which remembers what it has seen until a read comes up short.
    Tokio(TcpStream),
}

impl Link {
    /// Puts `socket`, which is non-blocking, under `driver`. Call it inside the runtime.
    pub(crate) fn new(socket: Socket, driver: Driver) -> io::Result<Rc<Self>> {
        Ok(Rc::new(match driver {
            Driver::Uring => Self::Uring(Rc::new(socket)),
            Driver::Tokio => Self::Tokio(TcpStream::from_std(socket.into())?),
        }))
    }

    /// Waits until there is something to read, an end, or an error.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Uring(socket) => poll(socket, POLLIN).await,
            Self::Tokio(stream) => stream.readable().await,
        }
    }

    /// Waits until there is room to write, the connection stands, or has failed.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Uring(socket) => poll(socket, POLLOUT).await,
            Self::Tokio(stream) => stream.writable().await,
        }
    }

    /// Reads what is there. `WouldBlock`: nothing.
    pub(crate) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Uring(socket) => (&**socket).read(buf),
            Self::Tokio(stream) => stream.try_read(buf),
        }
    }

    /// Writes what there is room for. `WouldBlock`: none.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Uring(socket) => socket.send(bytes),
            Self::Tokio(stream) => stream.try_write(bytes),
        }
    }

    /// Bytes that have arrived and were not read.
    pub(crate) fn unread(&self) -> io::Result<u64> {
        Ok(match self {
            Self::Uring(socket) => ioctl_fionread(socket)?,
            Self::Tokio(stream) => ioctl_fionread(stream)?,
        })
    }

    /// The error of a connection attempt that has ended, or of a connection that was reset.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Self::Uring(socket) => socket.take_error(),
            Self::Tokio(stream) => stream.take_error(),
        }
    }

    /// Ends reading, which also ends a wait for it. The peer learns of it when the link is dropped.
    pub(crate) fn stop_reading(&self) -> io::Result<()> {
        match self {
            Self::Uring(socket) => socket.shutdown(Shutdown::Read),
            Self::Tokio(stream) => SockRef::from(stream).shutdown(Shutdown::Read),
        }
    }
}

async fn poll(socket: &Rc<Socket>, events: u32) -> io::Result<()> {
    let entry = opcode::PollAdd::new(types::Fd(socket.as_raw_fd()), events).build();
    UnsubmittedOneshot::new(Rc::clone(socket), Polled, entry).submit().await
}

/// Makes a poll's completion a result.
struct Polled;

impl OneshotOutputTransform for Polled {
    type Output = io::Result<()>;
    type StoredData = Rc<Socket>;

    fn transform_oneshot_output(self, _: Rc<Socket>, completion: cqueue::Entry) -> io::Result<()> {
        match completion.result() {
            error @ ..0 => Err(io::Error::from_raw_os_error(-error)),
            _ => Ok(()),
        }
    }
}
