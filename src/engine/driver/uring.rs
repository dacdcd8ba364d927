//! The io_uring driver: direct descriptors, multishot accept, and batches of sends per enter.
//!
//! Sends and receives carry `MSG_DONTWAIT`, so the kernel completes them while it takes them in:
//! when [`Ring::run`] returns, no buffer is in the kernel's hands (I8). Only accept, the eventfd and
//! the watches outlive a call, and they have no buffers. Direct descriptors don't count against
//! `RLIMIT_NOFILE`. This file alone knows an SQE.
#![expect(unsafe_code, reason = "submits operations to the kernel")]

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, TcpListener},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    time::Duration,
};

use io_uring::{
    CompletionQueue, IoUring, Probe, SubmissionQueue, Submitter, cqueue, opcode, squeue, types,
};
use rustix::io::Errno;
use self_cell::{MutBorrow, self_cell};

use super::{
    Driver, DriverOptions, Event, Received, Send, Sent, Socket, Sockets, Watch, epoll::drain,
    peer_of, self_test::self_test,
};

/// A driver over io_uring.
#[derive(Debug)]
pub(in crate::engine) struct Uring {
    ring: Ring,
    listener: Option<TcpListener>,
    wake: OwnedFd,
    sockets: Sockets<Watched>,
    /// Closed sockets whose watches have not all completed: their slots wait (I9).
    closing: Sockets<Watched>,
    accepting: bool,
    /// Completions that came while another operation was waited for.
    early: Vec<Completion>,
}

/// How many watches of a socket are in the kernel.
#[derive(Debug, Default)]
struct Watched {
    pending: u8,
}

self_cell! {
    /// The ring, and the queues that the kernel shares with us. It is entered by its registered index,
    /// which saves the kernel a look-up of its descriptor: 351 ns an enter where it was 427.
    struct Ring {
        owner: MutBorrow<IoUring>,

        #[not_covariant]
        dependent: Queues,
    }
}

struct Queues<'r> {
    submitter: Submitter<'r>,
    submissions: SubmissionQueue<'r>,
    completions: CompletionQueue<'r>,
}

#[derive(Clone, Copy, Debug)]
struct Completion {
    tag: Tag,
    result: i32,
    more: bool,
}

/// What an operation was for: its `user_data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tag {
    operation: Operation,
    socket: Socket,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Operation {
    Accept,
    Wake,
    Readable,
    Writable,
    Leave,
    /// Completes within the submit: send, receive, shutdown, cancel, close, install.
    Inline,
}

/// Submissions per enter: one enter of 256 sends holds the core for 1.3 to 2.5 ms.
const SUBMISSIONS: u32 = 256;

/// Room for every completion of a batch and many watches; the kernel keeps what is over. With the
/// submissions it is 56 KiB of a ring, which count as locked memory.
const COMPLETIONS: u32 = 2048;

/// What is used, by its name in `io_uring_enter(2)`.
const OPCODES: [(u8, &str); 9] = [
    (opcode::AcceptMulti::CODE, "IORING_OP_ACCEPT"),
    (opcode::PollAdd::CODE, "IORING_OP_POLL_ADD"),
    (opcode::Send::CODE, "IORING_OP_SEND"),
    (opcode::Recv::CODE, "IORING_OP_RECV"),
    (opcode::Shutdown::CODE, "IORING_OP_SHUTDOWN"),
    (opcode::AsyncCancel::CODE, "IORING_OP_ASYNC_CANCEL"),
    (opcode::AsyncCancel2::CODE, "IORING_OP_ASYNC_CANCEL"),
    (opcode::Close::CODE, "IORING_OP_CLOSE"),
    // The youngest: Linux 6.8.
    (opcode::FixedFdInstall::CODE, "IORING_OP_FIXED_FD_INSTALL"),
];

/// The tag of what belongs to no socket.
const NO_SOCKET: Socket = Socket { slot: u32::MAX, generation: 0 };

impl Uring {
    /// Builds the ring on the thread that will use it.
    pub(in crate::engine) fn new(options: DriverOptions<'_>) -> io::Result<Self> {
        Self::with_ring(Ring::with_sizes(SUBMISSIONS, COMPLETIONS)?, options)
    }

    fn with_ring(ring: Ring, options: DriverOptions<'_>) -> io::Result<Self> {
        let sockets_max = u32::try_from(options.sockets_max).unwrap_or(u32::MAX);
        ring.register_files(sockets_max)?;
        let mut uring = Self {
            ring,
            listener: Some(options.listener),
            wake: options.wake.try_clone_to_owned()?,
            sockets: Sockets::new(),
            closing: Sockets::new(),
            accepting: false,
            early: Vec::new(),
        };
        uring.watch_wake();
        Ok(uring)
    }

    /// Whether this kernel and sandbox have all that the driver needs, and it does here what it should;
    /// if not, what is wrong.
    pub(in crate::engine) fn probe() -> Result<(), String> {
        let ring = Ring::with_sizes(SUBMISSIONS, COMPLETIONS)
            .map_err(|error| format!("io_uring_setup: {error}"))?;
        match ring.missing_operation() {
            Ok(None) => {}
            Ok(Some(name)) => return Err(format!("this kernel has no {name}")),
            Err(error) => return Err(format!("probe: {error}")),
        }
        // The kernel frees a ring some time after it is closed: a second one may exceed the limit.
        self_test(|options| Self::with_ring(ring, options))
            .map_err(|fault| format!("self-test: {fault}"))
    }

    fn watch_wake(&mut self) {
        let wake = types::Fd(self.wake.as_raw_fd());
        let poll = opcode::PollAdd::new(wake, libc_poll::IN).multi(true).build();
        self.push(poll, Operation::Wake, NO_SOCKET);
    }

    fn push(&mut self, entry: squeue::Entry, operation: Operation, socket: Socket) {
        if self.ring.is_full() {
            self.flush();
        }
        self.ring.push(&entry.user_data(Tag { operation, socket }.to_user_data()));
    }

    /// Submits what is queued.
    fn flush(&mut self) {
        while !self.ring.is_empty() {
            self.ring.enter(0);
            // Where the kernel is busy it wants its completions reaped first.
            let early = &mut self.early;
            self.ring.reap(|completion| early.push(completion));
        }
    }

    /// The socket, which there is, as an ordinary descriptor beside its direct one.
    fn install(&mut self, socket: Socket) -> io::Result<OwnedFd> {
        let install = opcode::FixedFdInstall::new(types::Fixed(socket.slot), 0).build();
        let installed = self.run_inline(install);
        if installed < 0 {
            return Err(io::Error::from_raw_os_error(-installed));
        }
        // SAFETY: the kernel has just installed this descriptor for us and nobody else knows it.
        Ok(unsafe { OwnedFd::from_raw_fd(installed) })
    }

    /// Runs one operation that completes within the submit, and gives its result.
    fn run_inline(&mut self, entry: squeue::Entry) -> i32 {
        self.push(entry, Operation::Inline, NO_SOCKET);
        let mut result = 0;
        self.run_batch(1, |_, completed| result = completed);
        result
    }

    /// Submits what was pushed, `count` of it inline operations, and hands the slot of each one's
    /// tag and its result to `each`. Returns only when all of them have completed.
    fn run_batch(&mut self, count: usize, mut each: impl FnMut(usize, i32)) {
        let mut left = count;
        while left > 0 {
            self.ring.enter(left);
            let early = &mut self.early;
            self.ring.reap(|completion| match completion.tag.operation {
                Operation::Inline => {
                    left -= 1;
                    each(completion.tag.socket.slot as usize, completion.result);
                }
                _ => early.push(completion),
            });
        }
    }

    fn complete(&mut self, completion: Completion, events: &mut VecDeque<Event>) {
        let Completion { tag, result, more } = completion;
        match tag.operation {
            Operation::Accept => self.accepted(result, more, events),
            Operation::Wake => {
                drain(&self.wake);
                if !more {
                    self.watch_wake();
                }
            }
            Operation::Readable => self.fired(tag.socket, Watch::Readable, events),
            Operation::Writable => self.fired(tag.socket, Watch::Writable, events),
            Operation::Leave => self.fired(tag.socket, Watch::Leave, events),
            Operation::Inline => unreachable!("an inline operation completes in its batch"),
        }
    }

    fn accepted(&mut self, result: i32, more: bool, events: &mut VecDeque<Event>) {
        if let Ok(slot) = u32::try_from(result) {
            events.push_back(Event::Accepted(self.sockets.open(slot, Watched::default())));
        } else if result != -Errno::CANCELED.raw_os_error() {
            events.push_back(Event::AcceptFailed(io::Error::from_raw_os_error(-result)));
            self.accepting &= more;
            return;
        }
        if !more && self.accepting {
            // The kernel ends a multishot when its completion queue was full.
            self.accept();
        }
    }

    fn fired(&mut self, socket: Socket, watch: Watch, events: &mut VecDeque<Event>) {
        if let Some(watched) = self.sockets.get_mut(socket) {
            watched.pending -= 1;
            events.push_back(Event::Ready(socket, watch));
        } else if let Some(watched) = self.closing.get_mut(socket) {
            watched.pending -= 1;
            if watched.pending == 0 {
                self.closing.close(socket);
                self.close_slot(socket);
            }
        }
    }

    fn close_slot(&mut self, socket: Socket) {
        let close = opcode::Close::new(types::Fixed(socket.slot)).build();
        self.run_inline(close);
    }

    fn shut_down(&mut self, socket: Socket, how: rustix::net::Shutdown) {
        let how = match how {
            rustix::net::Shutdown::Read => 0,
            rustix::net::Shutdown::Write => 1,
            _ => 2,
        };
        let shutdown = opcode::Shutdown::new(types::Fixed(socket.slot), how).build();
        // A connection that is gone has nothing to shut down.
        let _ = self.run_inline(shutdown);
    }

    /// By their tags: to find those of a descriptor the kernel looks at every watch of the ring.
    fn cancel_watches(&mut self, socket: Socket) {
        let watches = [Operation::Readable, Operation::Writable, Operation::Leave];
        // What is queued besides is submitted first, so that these fit.
        self.flush();
        for operation in watches {
            let watch = Tag { operation, socket }.to_user_data();
            let cancel = opcode::AsyncCancel::new(watch).build();
            self.push(cancel, Operation::Inline, NO_SOCKET);
        }
        // Those that there are none of, or that the shutdown has ended, are not found, which is as well.
        self.run_batch(watches.len(), |_, _| {});
    }
}

impl Driver for Uring {
    fn send(&mut self, sends: &[Send<'_>], sent: &mut Vec<Sent>) {
        for batch in sends.chunks(SUBMISSIONS as usize) {
            // What is queued besides is submitted first, so that the batch fits.
            self.flush();
            let before = sent.len();
            sent.resize(before + batch.len(), Sent::Broken);
            let mut pushed = 0;
            for (nth, send) in (0..).zip(batch) {
                if self.sockets.get(send.socket).is_some() {
                    let nth = Socket { slot: nth, generation: 0 };
                    self.push(send_entry(send), Operation::Inline, nth);
                    pushed += 1;
                }
            }
            self.run_batch(pushed, |nth, result| sent[before + nth] = outcome(result));
        }
    }

    fn receive(&mut self, socket: Socket, buffer: &mut [u8]) -> Received {
        if self.sockets.get(socket).is_none() {
            return Received::Ended;
        }
        let len = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let recv = opcode::Recv::new(types::Fixed(socket.slot), buffer.as_mut_ptr(), len)
            .flags(MSG_DONTWAIT)
            .build();
        match self.run_inline(recv) {
            0 => Received::Ended,
            count if count > 0 => Received::Bytes(count as usize),
            error if is_transient(error) => Received::Nothing,
            _ => Received::Ended,
        }
    }

    fn watch(&mut self, socket: Socket, watch: Watch) {
        let Some(watched) = self.sockets.get_mut(socket) else { return };
        watched.pending += 1;
        let (mask, operation) = match watch {
            Watch::Readable => (libc_poll::IN | libc_poll::RDHUP, Operation::Readable),
            Watch::Writable => (libc_poll::OUT, Operation::Writable),
            Watch::Leave => (libc_poll::RDHUP, Operation::Leave),
        };
        let poll = opcode::PollAdd::new(types::Fixed(socket.slot), mask).build();
        self.push(poll, operation, socket);
    }

    fn finish(&mut self, socket: Socket) {
        if self.sockets.get(socket).is_some() {
            self.shut_down(socket, rustix::net::Shutdown::Write);
        }
    }

    fn close(&mut self, socket: Socket) {
        let Some(watched) = self.sockets.close(socket) else { return };
        if watched.pending == 0 {
            self.close_slot(socket);
            return;
        }
        self.closing.adopt(socket, watched);
        self.shut_down(socket, rustix::net::Shutdown::Both);
        self.cancel_watches(socket);
    }

    fn take(&mut self, socket: Socket) -> io::Result<OwnedFd> {
        if self.sockets.get(socket).is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let installed = self.install(socket);
        self.close(socket);
        installed
    }

    fn peer(&mut self, socket: Socket) -> Option<IpAddr> {
        self.sockets.get(socket)?;
        peer_of(&self.install(socket).ok()?)
    }

    fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        let listener = types::Fd(listener.as_raw_fd());
        let accept = opcode::AcceptMulti::new(listener).allocate_file_index(true).build();
        self.accepting = true;
        self.push(accept, Operation::Accept, NO_SOCKET);
    }

    fn stop_accepting(&mut self) {
        let Some(listener) = self.listener.take() else { return };
        self.accepting = false;
        let accept = Tag { operation: Operation::Accept, socket: NO_SOCKET }.to_user_data();
        self.run_inline(opcode::AsyncCancel::new(accept).build());
        drop(listener);
    }

    fn wait(&mut self, timeout: Option<Duration>, events: &mut VecDeque<Event>) -> io::Result<()> {
        let mut completions = std::mem::take(&mut self.early);
        let poll_only = !completions.is_empty() || timeout == Some(Duration::ZERO);
        self.ring.wait(if poll_only { Some(Duration::ZERO) } else { timeout })?;
        self.ring.reap(|completion| completions.push(completion));
        for completion in completions.drain(..) {
            self.complete(completion, events);
        }
        // Keep the allocation, and what came early meanwhile.
        completions.append(&mut self.early);
        self.early = completions;
        Ok(())
    }
}

impl Ring {
    fn with_sizes(submissions: u32, completions: u32) -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(completions)
            .build(submissions)
            .map_err(|error| match Errno::from_io_error(&error) {
                Some(Errno::NOMEM) => {
                    let fault = "its rings exceed what may be locked (ulimit -l, RLIMIT_MEMLOCK)";
                    io::Error::new(io::ErrorKind::OutOfMemory, fault)
                }
                _ => error,
            })?;
        if !ring.params().is_feature_ext_arg() || !ring.params().is_feature_nodrop() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Self::try_new(MutBorrow::new(ring), |ring| {
            let (mut submitter, submissions, completions) = ring.borrow_mut().split();
            submitter.register_ring_fd()?;
            Ok(Queues { submitter, submissions, completions })
        })
    }

    fn is_full(&mut self) -> bool {
        self.with_dependent_mut(|_, queues| {
            queues.submissions.sync();
            queues.submissions.is_full()
        })
    }

    fn is_empty(&mut self) -> bool {
        self.with_dependent_mut(|_, queues| {
            queues.submissions.sync();
            queues.submissions.is_empty()
        })
    }

    /// Queues an operation, for which there must be room.
    fn push(&mut self, entry: &squeue::Entry) {
        self.with_dependent_mut(|_, queues| {
            // SAFETY: an entry's memory must stay valid while the kernel may touch it. Only sends and
            // receives name memory; they complete in `Uring::run_batch`, which the function that
            // borrowed the memory calls before it returns. Everything else names descriptors, which
            // `Uring` owns for longer than the ring uses them.
            let pushed = unsafe { queues.submissions.push(entry) };
            pushed.expect("there is room: a full queue is flushed first");
        });
    }

    /// Submits, and waits for `want` completions to be there.
    fn enter(&mut self, want: usize) {
        let entered = self.with_dependent_mut(|_, queues| {
            queues.submissions.sync();
            queues.submitter.submit_and_wait(want)
        });
        if let Err(error) = entered {
            recover(&error);
        }
    }

    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let waited = self.with_dependent_mut(|_, queues| {
            queues.submissions.sync();
            match timeout {
                Some(Duration::ZERO) => queues.submitter.submit(),
                Some(timeout) => {
                    let timeout = types::Timespec::from(timeout);
                    let arguments = types::SubmitArgs::new().timespec(&timeout);
                    queues.submitter.submit_with_args(1, &arguments)
                }
                None => queues.submitter.submit_and_wait(1),
            }
        });
        match waited.map_err(|error| (Errno::from_io_error(&error), error)) {
            Ok(_) | Err((Some(Errno::TIME | Errno::INTR | Errno::BUSY | Errno::AGAIN), _)) => {
                Ok(())
            }
            Err((_, error)) => Err(error),
        }
    }

    fn reap(&mut self, mut each: impl FnMut(Completion)) {
        self.with_dependent_mut(|_, queues| {
            queues.completions.sync();
            for entry in &mut queues.completions {
                each(Completion {
                    tag: Tag::from_user_data(entry.user_data()),
                    result: entry.result(),
                    more: cqueue::more(entry.flags()),
                });
            }
            // Gives the places back.
            queues.completions.sync();
        });
    }

    /// Whether completions wait in the kernel for room in their queue.
    #[cfg(test)]
    fn has_overflowed(&mut self) -> bool {
        self.with_dependent_mut(|_, queues| {
            queues.submissions.sync();
            queues.submissions.cq_overflow()
        })
    }

    fn register_files(&self, count: u32) -> io::Result<()> {
        self.with_dependent(|_, queues| queues.submitter.register_files_sparse(count))
    }

    /// The name of an operation that this kernel does not have.
    fn missing_operation(&self) -> io::Result<Option<&'static str>> {
        let mut probe = Probe::new();
        self.with_dependent(|_, queues| queues.submitter.register_probe(&mut probe))?;
        let missing = OPCODES.iter().find(|(code, _)| !probe.is_supported(*code));
        Ok(missing.map(|(_, name)| *name))
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").finish_non_exhaustive()
    }
}

impl Tag {
    fn to_user_data(self) -> u64 {
        (self.operation as u64) << 56
            | u64::from(self.socket.generation) << 32
            | u64::from(self.socket.slot)
    }

    fn from_user_data(data: u64) -> Self {
        let operation = match data >> 56 {
            0 => Operation::Accept,
            1 => Operation::Wake,
            2 => Operation::Readable,
            3 => Operation::Writable,
            4 => Operation::Leave,
            _ => Operation::Inline,
        };
        let socket = Socket { slot: data as u32, generation: (data >> 32) as u32 & 0xff_ffff };
        Self { operation, socket }
    }
}

/// What `poll(2)` calls its events.
mod libc_poll {
    pub(super) const IN: u32 = rustix::event::PollFlags::IN.bits() as u32;
    pub(super) const OUT: u32 = rustix::event::PollFlags::OUT.bits() as u32;
    pub(super) const RDHUP: u32 = rustix::event::PollFlags::RDHUP.bits() as u32;
}

const MSG_DONTWAIT: i32 = rustix::net::SendFlags::DONTWAIT.bits() as i32;
const MSG_NOSIGNAL: i32 = rustix::net::SendFlags::NOSIGNAL.bits() as i32;

fn send_entry(send: &Send<'_>) -> squeue::Entry {
    let len = u32::try_from(send.bytes.len()).unwrap_or(u32::MAX);
    opcode::Send::new(types::Fixed(send.socket.slot), send.bytes.as_ptr(), len)
        .flags(MSG_DONTWAIT | MSG_NOSIGNAL)
        .build()
}

fn outcome(result: i32) -> Sent {
    match usize::try_from(result) {
        Ok(count) => Sent::Bytes(count),
        Err(_) if is_transient(result) => Sent::Bytes(0),
        Err(_) => Sent::Broken,
    }
}

/// No room, no memory, or interrupted: the connection itself is sound.
fn is_transient(result: i32) -> bool {
    [Errno::AGAIN, Errno::INTR, Errno::NOBUFS, Errno::NOMEM]
        .iter()
        .any(|errno| -errno.raw_os_error() == result)
}

/// What an enter may fail with while the ring is sound: it was interrupted, or the kernel wants its
/// completions reaped or some memory first. Anything else is a fault of ours.
fn recover(error: &io::Error) {
    match Errno::from_io_error(error) {
        Some(Errno::INTR | Errno::BUSY | Errno::AGAIN) => {}
        _ => panic!("io_uring_enter failed: {error}"),
    }
}

#[cfg(test)]
mod tests;
