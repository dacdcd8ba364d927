//! The listening sockets: one per core on one address (`SO_REUSEPORT`), so the kernel spreads
//! connections over the cores. What is set here, accepted sockets inherit.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::Instant,
};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::limits::{ACCEPT_BACKLOG, LISTEN_RETRY, Limits};

/// One listener for each of `count` cores, all on the address of the first.
pub(super) fn listen(
    address: SocketAddr,
    count: usize,
    limits: &Limits,
) -> io::Result<Vec<TcpListener>> {
    refuse_shared(address)?;
    let first = listen_one(address, limits)?;
    let address = first.local_addr()?;
    let others = (1..count).map(|_| listen_one(address, limits));
    std::iter::once(Ok(first)).chain(others).collect()
}

/// Fails if somebody listens there already: `SO_REUSEPORT` alone would share the port with another
/// server of the same user, and each would get half of the connections.
///
/// Tried for a while: the kernel takes a killed process's ring apart, and closes what it listened
/// on, a moment after the process is gone, and a supervisor may be quicker than that.
fn refuse_shared(address: SocketAddr) -> io::Result<()> {
    let deadline = Instant::now() + LISTEN_RETRY;
    loop {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        match socket.bind(&address.into()) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                std::thread::sleep(LISTEN_RETRY / 20);
            }
            bound => return bound,
        }
    }
}

fn listen_one(address: SocketAddr, limits: &Limits) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_keepalive(true)?;
    socket.set_send_buffer_size(limits.send_buffer_bytes)?;
    socket.set_recv_buffer_size(limits.receive_buffer_bytes)?;
    socket.set_tcp_user_timeout(Some(limits.unacknowledged_deadline))?;
    let unsent = u32::try_from(limits.unsent_bytes).unwrap_or(u32::MAX);
    SockRef::from(&socket).set_tcp_notsent_lowat(unsent)?;
    socket.bind(&address.into())?;
    socket.listen(ACCEPT_BACKLOG)?;
    Ok(socket.into())
}
