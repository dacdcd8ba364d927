//! The control runtime: HTTP on the connections that the cores hand over.
//!
//! One thread runs everything that is not fan-out. It has no listener: a core accepts, reads the
//! first head, and passes the socket on with what it has read, so one port serves everything. From
//! there hyper speaks HTTP/1 and axum routes.

use std::{
    io::{self, Cursor, Write},
    net::TcpStream,
    os::fd::OwnedFd,
    pin::pin,
    sync::Arc,
    thread,
};

use axum::Router;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use socket2::SockRef;
use tokio::{
    io::AsyncReadExt,
    net,
    runtime::{self, Runtime},
    sync::{Semaphore, mpsc, watch},
    task::{JoinError, JoinSet},
};
use tower::ServiceExt;

use super::access::Peer;
use crate::{
    engine::{Asked, HandedOver, SharedTuning},
    http,
    limits::{self, Limits},
};

/// The running control runtime.
#[derive(Debug)]
pub(super) struct Control {
    stop: watch::Sender<bool>,
    thread: thread::JoinHandle<()>,
}

/// What the cores send here.
#[derive(Debug)]
pub(super) struct Arrivals {
    pub(super) handed_over: mpsc::Receiver<HandedOver>,
    pub(super) asked: mpsc::Receiver<Asked>,
}

/// What the runtime's tasks share.
struct Connections {
    router: Router,
    permits: Arc<Semaphore>,
    tuning: SharedTuning,
    stop: watch::Receiver<bool>,
    tasks: JoinSet<()>,
}

impl Control {
    /// Starts the thread, which serves what arrives until the channel or the runtime is closed.
    pub(super) fn start(
        router: Router,
        permits: Arc<Semaphore>,
        arrivals: Arrivals,
        tuning: SharedTuning,
    ) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = watch::channel(false);
        let connections =
            Connections { router, permits, tuning, stop: stopped, tasks: JoinSet::new() };
        let thread = thread::Builder::new()
            .name("fanfare-control".into())
            .spawn(move || run(&runtime, connections, arrivals))?;
        Ok(Self { stop, thread })
    }

    /// Takes up no more connections, and lets the requests in progress end.
    pub(super) fn shutdown(&self) {
        self.stop.send_replace(true);
    }

    /// Waits for the end, at most the drain deadline after a shutdown.
    pub(super) fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the control thread panicked");
        }
    }
}

fn run(runtime: &Runtime, mut connections: Connections, arrivals: Arrivals) {
    runtime.block_on(async {
        connections.take_up(arrivals).await;
        let deadline = connections.tuning.get().limits.drain_deadline;
        if tokio::time::timeout(deadline, connections.drain()).await.is_err() {
            tracing::warn!(cut = connections.tasks.len(), "requests did not end in time");
        }
    });
}

impl Connections {
    async fn take_up(&mut self, arrivals: Arrivals) {
        let Arrivals { mut handed_over, mut asked } = arrivals;
        let mut stop = self.stop.clone();
        let mut questions = JoinSet::new();
        loop {
            tokio::select! {
                handed = handed_over.recv() => match handed {
                    Some(handed) => self.spawn(handed),
                    None => return,
                },
                Some(ended) = self.tasks.join_next() => log_panic(ended),
                Some(asked) = asked.recv(), if questions.len() < limits::QUESTIONS_MAX => {
                    questions.spawn(asked.run());
                }
                Some(ended) = questions.join_next() => log_panic(ended),
                _ = stop.wait_for(|stopped| *stopped) => return,
            }
        }
    }

    fn spawn(&mut self, handed: HandedOver) {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            if let Err(fault) = refuse(handed) {
                tracing::debug!(%fault, "connection not refused in full");
            }
            return;
        };
        let (router, stop) = (self.router.clone(), self.stop.clone());
        let limits = self.tuning.get().limits;
        self.tasks.spawn(async move {
            if let Err(fault) = serve(handed, router, limits, stop).await {
                // Whatever it is, it concerns that peer alone.
                tracing::debug!(%fault, "connection ended");
            }
            drop(permit);
        });
    }

    async fn drain(&mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            log_panic(ended);
        }
    }
}

fn log_panic(ended: Result<(), JoinError>) {
    if let Err(fault) = ended {
        tracing::error!(%fault, "a request handler panicked; its connection is closed");
    }
}

async fn serve(
    handed: HandedOver,
    router: Router,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) -> Result<(), hyper::Error> {
    let Ok(socket) = adopt(handed.socket, &limits) else { return Ok(()) };
    let peer = Peer(socket.peer_addr().ok().map(|peer| peer.ip()));
    let (read, write) = socket.into_split();
    let received = Cursor::new(handed.received);
    let io = TokioIo::new(tokio::io::join(received.chain(read), write));
    let service = TowerToHyperService::new(router.map_request(
        move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request
        },
    ));
    let mut connection = pin!(protocol(&limits).serve_connection(io, service));
    tokio::select! {
        ended = connection.as_mut() => return ended,
        _ = stop.wait_for(|stopped| *stopped) => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

fn protocol(limits: &Limits) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_deadline)
        .max_headers(limits::HEADERS_MAX)
        .max_buf_size(limits::HEAD_BYTES_MAX);
    protocol
}

fn refuse(handed: HandedOver) -> io::Result<()> {
    let mut socket = TcpStream::from(handed.socket);
    socket.set_nonblocking(true)?;
    // The reply fits any socket buffer; whoever cannot take it does not get it.
    socket.write_all(&http::error(503, "too many connections"))
}

fn adopt(socket: OwnedFd, limits: &Limits) -> io::Result<net::TcpStream> {
    let socket = TcpStream::from(socket);
    socket.set_nonblocking(true)?;
    let options = SockRef::from(&socket);
    options.set_tcp_nodelay(true)?;
    // The core asks for room for a head; a publisher sends more.
    options.set_recv_buffer_size(limits::CONTROL_RECEIVE_BUFFER_BYTES)?;
    // The kernel cuts a peer that does not read on: hyper has no such deadline.
    options.set_tcp_user_timeout(Some(limits.unacknowledged_deadline))?;
    net::TcpStream::from_std(socket)
}
