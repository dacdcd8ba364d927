//! The floor: bytes ready in memory, sockets ready in an array, one send after the other.
#![expect(unsafe_code, reason = "submits sends to io_uring")]

use std::{
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd,
    time::Duration,
};

use io_uring::{IoUring, opcode, types};
use rustix::{
    net::SendFlags,
    time::{ClockId, clock_gettime},
};

use super::{
    Contender,
    drain::{Drained, SENDER_CPU, drain, pin},
    rest,
};

/// A plain loop over `send(2)`.
pub(super) struct SendLoop(Sockets);

/// Sends in batches of 256, over one io_uring.
pub(super) struct Ring {
    sockets: Sockets,
    ring: IoUring,
}

pub(super) struct Sockets {
    pub(super) servers: Vec<TcpStream>,
    pub(super) drained: Drained,
    size: usize,
}

const BATCH: usize = 256;

impl Sockets {
    pub(super) fn new(count: usize, size: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let address = listener.local_addr().expect("it is bound");
        let mut clients = Vec::new();
        let servers = (0..count).map(|_| {
            clients.push(TcpStream::connect(address).expect("the listener listens"));
            let (server, _) = listener.accept().expect("a client has connected");
            server.set_nodelay(true).expect("it is a TCP socket");
            server
        });
        let servers = servers.collect();
        Self { servers, drained: drain(clients), size }
    }

    /// What the engine sends for as many events: a chunk each.
    fn bytes(&self, events: usize) -> Vec<u8> {
        let data = "x".repeat(self.size);
        let event = format!("id: 00000000-1000000\ndata: {data}\n\n");
        format!("{:x}\r\n{event}\r\n", event.len()).repeat(events).into_bytes()
    }

    /// Runs rounds with `send`, each of which sends the bytes to every socket.
    pub(super) fn rounds(
        &self,
        rounds: usize,
        events: usize,
        mut send: impl FnMut(&[u8]),
    ) -> Duration {
        pin(SENDER_CPU);
        let bytes = self.bytes(events);
        let mut cpu = Duration::ZERO;
        for _ in 0..rounds {
            let before = self.drained.bytes();
            let start = thread_cpu();
            send(&bytes);
            cpu += thread_cpu() - start;
            self.drained.wait_for(before + (bytes.len() * self.servers.len()) as u64);
            rest();
        }
        cpu
    }
}

impl SendLoop {
    pub(super) fn new(subscribers: usize, size: usize) -> Self {
        Self(Sockets::new(subscribers, size))
    }
}

impl Contender for SendLoop {
    fn name(&self) -> &'static str {
        "send(2) loop"
    }

    fn run(&mut self, rounds: usize, events: usize) -> Duration {
        self.0.rounds(rounds, events, |bytes| {
            for socket in &self.0.servers {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                let sent = rustix::net::send(socket, bytes, flags).expect("there is room");
                assert_eq!(sent, bytes.len(), "a round fits into the socket's buffer");
            }
        })
    }
}

impl Ring {
    pub(super) fn new(subscribers: usize, size: usize) -> Self {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .build(BATCH as u32)
            .expect("io_uring is there");
        let sockets = Sockets::new(subscribers, size);
        let descriptors: Vec<_> = sockets.servers.iter().map(AsRawFd::as_raw_fd).collect();
        ring.submitter().register_files(&descriptors).expect("the table is below the limit");
        Self { sockets, ring }
    }
}

impl Contender for Ring {
    fn name(&self) -> &'static str {
        "batched ring"
    }

    fn run(&mut self, rounds: usize, events: usize) -> Duration {
        let Self { sockets, ring } = self;
        let indices: Vec<u32> = (0..sockets.servers.len() as u32).collect();
        sockets.rounds(rounds, events, |bytes| {
            for batch in indices.chunks(BATCH) {
                for &index in batch {
                    let send =
                        opcode::Send::new(types::Fixed(index), bytes.as_ptr(), bytes.len() as u32)
                            .flags((SendFlags::DONTWAIT | SendFlags::NOSIGNAL).bits() as i32)
                            .build();
                    // SAFETY: `bytes` outlives the enter below, within which the kernel completes
                    // sends that must not wait.
                    unsafe { ring.submission().push(&send) }.expect("a batch fits");
                }
                ring.submit_and_wait(batch.len()).expect("the ring is sound");
                for completion in ring.completion() {
                    assert_eq!(completion.result(), bytes.len() as i32);
                }
            }
        })
    }
}

fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
