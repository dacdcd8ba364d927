//! The floor: a process that accepts connections, and sends to one after the other by `send(2)`.
//!
//! It is as many processes as its descriptors ask for, which share the CPU that the cores have.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::{
    net::{AddressFamily, SendFlags, SocketFlags, SocketType, bind, listen, send, socket_with},
    time::{ClockId, clock_gettime},
};

use super::wire::{self, Round};

/// What a member takes for a stream's beginning.
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

/// Connections that it has accepted, in a thread of its own.
#[derive(Debug)]
pub(super) struct Floor {
    address: SocketAddr,
    sockets: Arc<Mutex<Vec<TcpStream>>>,
}

impl Floor {
    /// Accepts whoever comes, for as long as the process lives.
    pub(super) fn start() -> Self {
        let listener = listen_anywhere();
        let address = listener.local_addr().expect("it is bound");
        let sockets = Arc::default();
        let keep = Arc::clone(&sockets);
        std::thread::spawn(move || keep_all(&listener, &keep));
        Self { address, sockets }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a round to everybody, and says what CPU time that took.
    pub(super) fn send(&self, round: &Round) -> Duration {
        let bytes = bytes(round);
        let sockets = self.sockets.lock().expect("nobody panics");
        let start = thread_cpu();
        for socket in &*sockets {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            let sent = send(socket, &bytes, flags).expect("there is room");
            assert_eq!(sent, bytes.len(), "a round fits into the socket's buffer");
        }
        thread_cpu() - start
    }
}

/// Listens on a free port of loopback, with as long a backlog as the engine's.
fn listen_anywhere() -> TcpListener {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .expect("a descriptor is left");
    bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port is free");
    listen(&socket, fanfare::limits::ACCEPT_BACKLOG).expect("it is bound");
    socket.into()
}

fn keep_all(listener: &TcpListener, sockets: &Mutex<Vec<TcpStream>>) {
    let mut request = [0; 1024];
    while let Ok((mut socket, _)) = listener.accept() {
        // A request that stays unread is memory too.
        let answered = socket.read(&mut request).and_then(|_| socket.write_all(HEAD));
        if answered.and_then(|()| socket.set_nodelay(true)).is_ok() {
            sockets.lock().expect("nobody panics").push(socket);
        }
    }
}

/// What the engine sends for as many events: a chunk each.
fn bytes(round: &Round) -> Vec<u8> {
    let now = wire::now();
    let chunk = |counter| {
        let data = wire::COMMON.data(counter, now, round.size);
        let event = format!("id: 00000000-1000000\ndata: {data}\n\n");
        format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
    };
    round.counters.clone().flat_map(chunk).collect()
}

fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
