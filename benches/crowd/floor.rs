//! The floor: accepted sockets in an array, and one `send(2)` to each after the other.

use std::{
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use rustix::{
    net::{
        AddressFamily, SendFlags, SocketFlags, SocketType, bind, listen as listen_on, send,
        socket_with,
    },
    time::{ClockId, clock_gettime},
};

use super::{
    proc,
    wire::{self, Topic},
};

/// What a member takes for a stream's beginning.
pub(super) const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

/// Connections that may wait to be accepted, as many as the engine's.
const BACKLOG: i32 = fanfare::limits::ACCEPT_BACKLOG;

/// Sockets to send to.
#[derive(Debug)]
pub(super) struct Floor {
    listener: TcpListener,
    sockets: Vec<TcpStream>,
    counter: u64,
    size: usize,
}

/// Listens on a free port of loopback.
pub(super) fn listen() -> TcpListener {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .expect("a descriptor is left");
    bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port is free");
    listen_on(&socket, BACKLOG).expect("it is bound");
    socket.into()
}

impl Floor {
    pub(super) fn new(size: usize) -> Self {
        Self { listener: listen(), sockets: Vec::new(), counter: 0, size }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it is bound")
    }

    /// Takes so many connections in, and answers them.
    pub(super) fn accept(&mut self, connections: usize) {
        for _ in 0..connections {
            let (mut socket, _) = self.listener.accept().expect("a member connects");
            socket.set_nodelay(true).expect("it is a TCP socket");
            socket.write_all(HEAD).expect("a new socket has room");
            self.sockets.push(socket);
        }
    }

    /// Sends so many events to everybody, and says what CPU time that took.
    pub(super) fn round(&mut self, topic: Topic, events: usize) -> Duration {
        let bytes = self.bytes(topic, events);
        let sockets = &self.sockets;
        // From the CPU that the cores have, and from a thread that ends with its time.
        let send_all = || {
            proc::set_priority(0);
            proc::pin(Some(proc::SERVER_CPU));
            let start = thread_cpu();
            for socket in sockets {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                let sent = send(socket, &bytes, flags).expect("there is room");
                assert_eq!(sent, bytes.len(), "a round fits into the socket's buffer");
            }
            thread_cpu() - start
        };
        std::thread::scope(|scope| scope.spawn(send_all).join().expect("sending does not panic"))
    }

    /// What the engine sends for as many events: a chunk each.
    fn bytes(&mut self, topic: Topic, events: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let now = wire::now();
        for _ in 0..events {
            let data = topic.data(self.counter, now, self.size);
            let event = format!("id: 00000000-1000000\ndata: {data}\n\n");
            bytes.extend(format!("{:x}\r\n{event}\r\n", event.len()).into_bytes());
            self.counter += 1;
        }
        bytes
    }
}

fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
