//! A server that does what a script says, right or wrong, and records what it was asked.
//!
//! Plain sockets and a thread per connection: nothing between a test and the bytes. It listens on
//! two ports, which are two origins with one script.

mod bytes;
mod reply;
mod request;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

pub(crate) use self::bytes::{Bytes, Piece};
pub(crate) use self::reply::{Reply, Then};
pub(crate) use self::request::Request;

/// How soon a blocked thread notices that its server was dropped.
const TICK: Duration = Duration::from_millis(50);

/// How long a peer has to take what it was sent before its connection is reset.
const BEFORE_RESET: Duration = Duration::from_millis(100);

/// Where an empty page of the server's first origin is, for a browser to run a script in.
pub(crate) const PAGE: &str = "/page";

/// A running server; it stops when dropped.
#[derive(Debug)]
pub(crate) struct ScriptedServer {
    origins: Origins,
    shared: Arc<Shared>,
}

/// The two addresses of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origins([SocketAddr; 2]);

#[derive(Debug)]
struct Shared {
    /// One reply per request, in order.
    script: Vec<Reply>,
    record: Mutex<Record>,
    stopped: AtomicBool,
}

/// What a server has seen.
#[derive(Debug, Default)]
struct Record {
    requests: Vec<Request>,
    preflights: usize,
    open: usize,
}

impl ScriptedServer {
    /// Starts a server whose script may name its origins.
    ///
    /// The first request gets the first reply, and so on. Further requests are recorded, and held
    /// without an answer: so the peer stays as the script has left it. A CORS preflight is granted
    /// and counted, and is no request in this sense; nor is one for [`PAGE`].
    pub(crate) fn start(script: impl FnOnce(&Origins) -> Vec<Reply>) -> Self {
        let listen = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let listeners = [(); 2].map(listen);
        let address = |listener: &TcpListener| listener.local_addr().expect("it is bound");
        let origins = Origins(listeners.each_ref().map(address));
        let shared = Arc::new(Shared {
            script: script(&origins),
            record: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        for listener in listeners {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.accept(&listener));
        }
        Self { origins, shared }
    }

    /// A server that gives one reply, and holds all further requests.
    pub(crate) fn once(reply: Reply) -> Self {
        Self::start(|_| vec![reply])
    }

    /// Its two origins.
    pub(crate) const fn origins(&self) -> &Origins {
        &self.origins
    }

    /// A URL of its first origin.
    pub(crate) fn url(&self) -> String {
        format!("{}/events", self.origins.first())
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.record().requests.clone()
    }

    /// How many CORS preflights there were.
    pub(crate) fn preflights(&self) -> usize {
        self.shared.record().preflights
    }

    /// How many connections stand that have sent a request.
    pub(crate) fn open_connections(&self) -> usize {
        self.shared.record().open
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        for address in self.origins.0 {
            // Wakes the thread that accepts; one that is gone already needs no waking.
            let _ = TcpStream::connect_timeout(&address, TICK);
        }
    }
}

impl Origins {
    /// The origin that scripts call `{origin}`.
    pub(crate) fn first(&self) -> String {
        format!("http://{}", self.0[0])
    }

    /// The origin that scripts call `{other-origin}` or `{cross-origin}`.
    pub(crate) fn second(&self) -> String {
        format!("http://{}", self.0[1])
    }

    /// The text with the origins in place of their names.
    pub(crate) fn fill_in(&self, text: &str) -> String {
        text.replace("{origin}", &self.first())
            .replace("{other-origin}", &self.second())
            .replace("{cross-origin}", &self.second())
    }
}

impl Shared {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming().map_while(Result::ok) {
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            let shared = Arc::clone(&self);
            // An error is the peer having left, which is its right.
            thread::spawn(move || shared.serve(stream));
        }
    }

    /// Serves the one request of a connection.
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(TICK))?;
        let mut connection = Connection { stream: &stream, stopped: &self.stopped };
        let Some(request) = Request::read(&mut connection)? else { return Ok(()) };
        if request.is_preflight() {
            self.record().preflights += 1;
            return connection.write(request.preflight_granted().as_bytes());
        }
        if request.method == "GET" && [PAGE, "/favicon.ico"].contains(&request.path.as_str()) {
            return connection.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n");
        }
        let number = {
            let mut record = self.record();
            record.open += 1;
            record.requests.push(request);
            record.requests.len() - 1
        };
        let silence = Reply::silence();
        let reply = self.script.get(number).unwrap_or(&silence);
        let result = connection.reply(reply, || {
            self.record().requests[number].ended = Some(Instant::now());
        });
        drop(stream);
        self.record().open -= 1;
        result
    }
}

/// A socket whose every wait ends when the server is dropped.
struct Connection<'a> {
    stream: &'a TcpStream,
    stopped: &'a AtomicBool,
}

impl Connection<'_> {
    /// Sends the reply; `at_the_end` is called right before the connection is ended by this side.
    fn reply(&mut self, reply: &Reply, at_the_end: impl FnOnce()) -> io::Result<()> {
        reply.bytes.pieces(&reply.cuts, |piece| match piece {
            Piece::Bytes(bytes) => self.write(bytes),
            Piece::Cut => {
                thread::sleep(reply.pause);
                Ok(())
            }
        })?;
        match reply.then {
            Then::Keep => return self.until_the_peer_leaves(),
            Then::Close => {}
            Then::Reset => {
                thread::sleep(BEFORE_RESET);
                SockRef::from(self.stream).set_linger(Some(Duration::ZERO))?;
            }
        }
        at_the_end();
        Ok(())
    }

    fn until_the_peer_leaves(&mut self) -> io::Result<()> {
        while self.read(&mut [0; 1024])? > 0 {}
        Ok(())
    }

    /// Reads once, when something has come; zero bytes are the end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut stream = self.stream;
        self.retry(|| stream.read(buffer))
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let mut stream = self.stream;
        while !bytes.is_empty() {
            let written = self.retry(|| stream.write(bytes))?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    fn retry(&self, mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
        loop {
            match call() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
            if self.stopped.load(Ordering::Relaxed) {
                return Err(ErrorKind::TimedOut.into());
            }
        }
    }
}
