//! A proxy whose connections can be cut while the server lives.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A running proxy. It ends with the process: a test has few of them.
#[derive(Debug)]
pub(crate) struct CuttingProxy {
    address: SocketAddr,
    sockets: Arc<Mutex<Vec<TcpStream>>>,
}

impl CuttingProxy {
    /// Starts one in front of `server`.
    pub(crate) fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let sockets = Arc::<Mutex<Vec<TcpStream>>>::default();
        let proxy = Self { address, sockets: Arc::clone(&sockets) };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // A server that does not accept closes the client's connection too.
                let _ = join(&sockets, client, server);
            }
        });
        proxy
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts all connections that stand, and says how many there were.
    pub(crate) fn cut(&self) -> usize {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let cut = |socket: &TcpStream| socket.shutdown(Shutdown::Both).is_ok();
        sockets.drain(..).filter(cut).count()
    }
}

/// Copies both ways, on two threads, until one side ends.
fn join(sockets: &Mutex<Vec<TcpStream>>, client: TcpStream, server: SocketAddr) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    let copy = |mut from: TcpStream, mut to: TcpStream| {
        move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        }
    };
    let mut sockets = sockets.lock().unwrap_or_else(PoisonError::into_inner);
    sockets.push(client.try_clone()?);
    thread::spawn(copy(client.try_clone()?, server.try_clone()?));
    thread::spawn(copy(server, client));
    Ok(())
}
