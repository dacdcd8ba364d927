//! The control runtime: HTTP on the connections that the cores hand over.
//!
//!
//! One thread runs everything that is not fan-out. Its public side has no listener: a core accepts,
//! reads the first head, and passes the socket on with what it has read, so one port serves
//! everything. From there hyper speaks HTTP/1 behind a `gate`, and axum routes. The operator's side has
//! a listener.

mod gate;
mod watched_body;

use std::{
    convert::Infallible,
    future::{Future, pending},
    io::{self, Write},
    net::{TcpListener, TcpStream},
    os::fd::OwnedFd,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    thread,
};

use axum::{
    Router,
    http::{HeaderValue, Method, Request, header},
    response::{IntoResponse, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net,
    runtime::{self, Runtime},
    sync::{Semaphore, mpsc, watch},
    task::{JoinError, JoinSet},
};
use tower::ServiceExt;

use self::{
    gate::{Gate, Refusal},
    watched_body::WatchedBody,
};
use super::{access::Peer, admission::EVENTS_PATH, fault::Fault};
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

/// What runs beside the connections, until the runtime stops.
pub(super) type Beside = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What not every server has.
#[derive(Default)]
pub(super) struct Extras {
    pub(super) door: Option<Door>,
    pub(super) beside: Vec<Beside>,
}

/// A listener of the runtime's own.
#[derive(Debug)]
pub(super) struct Door {
    listener: TcpListener,
    side: Side,
}

/// Such a one, in the runtime.
#[derive(Debug)]
struct OpenDoor {
    listener: net::TcpListener,
    side: Side,
}

/// Who answers connections, and how many at a time.
#[derive(Clone, Debug)]
struct Side {
    router: Router,
    permits: Arc<Semaphore>,
}

/// What the runtime's tasks share.
struct Connections {
    public: Side,
    tuning: SharedTuning,
    stop: watch::Receiver<bool>,
    tasks: JoinSet<()>,
}

impl Door {
    /// The listener is a non-blocking one.
    pub(super) fn new(listener: TcpListener, router: Router, permits: Arc<Semaphore>) -> Self {
        Self { listener, side: Side { router, permits } }
    }

    /// Only in the runtime.
    fn open(self) -> io::Result<OpenDoor> {
        let listener = net::TcpListener::from_std(self.listener)?;
        Ok(OpenDoor { listener, side: self.side })
    }
}

impl Control {
    /// Starts the thread, which serves what arrives until the channel or the runtime is closed.
    pub(super) fn start(
        router: Router,
        permits: Arc<Semaphore>,
        arrivals: Arrivals,
        tuning: SharedTuning,
        extras: Extras,
    ) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = watch::channel(false);
        let public = Side { router, permits };
        let mut connections = Connections { public, tuning, stop: stopped, tasks: JoinSet::new() };
        let inside = runtime.enter();
        let door = extras.door.map(Door::open).transpose()?;
        extras.beside.into_iter().for_each(|beside| connections.run_beside(beside));
        drop(inside);
        let thread = thread::Builder::new()
            .name("fanfare-control".into())
            .spawn(move || run(&runtime, connections, arrivals, door))?;
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

fn run(
    runtime: &Runtime,
    mut connections: Connections,
    arrivals: Arrivals,
    door: Option<OpenDoor>,
) {
    runtime.block_on(async {
        connections.take_up(arrivals, door).await;
        let deadline = connections.tuning.get().limits.drain_deadline;
        if tokio::time::timeout(deadline, connections.drain()).await.is_err() {
            tracing::warn!(cut = connections.tasks.len(), "requests did not end in time");
        }
    });
}

impl Connections {
    /// Runs something until it ends or all does.
    fn run_beside(&mut self, beside: Beside) {
        let mut stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = beside => {}
                _ = stop.wait_for(|stopped| *stopped) => {}
            }
        });
    }

    async fn take_up(&mut self, arrivals: Arrivals, door: Option<OpenDoor>) {
        let Arrivals { mut handed_over, mut asked } = arrivals;
        let mut stop = self.stop.clone();
        let mut questions = JoinSet::new();
        let public = self.public.clone();
        loop {
            tokio::select! {
                handed = handed_over.recv() => match handed {
                    Some(handed) => self.spawn(handed, &public),
                    None => return,
                },
                (handed, side) = come_in(door.as_ref()) => self.spawn(handed, &side),
                Some(ended) = self.tasks.join_next() => log_panic(ended),
                Some(asked) = asked.recv(), if questions.len() < limits::QUESTIONS_MAX => {
                    questions.spawn(asked.run());
                }
                Some(ended) = questions.join_next() => log_panic(ended),
                _ = stop.wait_for(|stopped| *stopped) => return,
            }
        }
    }

    fn spawn(&mut self, handed: HandedOver, side: &Side) {
        let Ok(permit) = Arc::clone(&side.permits).try_acquire_owned() else {
            if let Err(fault) = refuse(handed) {
                tracing::debug!(%fault, "connection not refused in full");
            }
            return;
        };
        let (router, stop) = (side.router.clone(), self.stop.clone());
        let limits = self.tuning.get().limits;
        self.tasks.spawn(async move {
            serve_socket(handed, router, limits, stop).await;
            drop(permit);
        });
    }

    async fn drain(&mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            log_panic(ended);
        }
    }
}

/// Whoever comes next; where there is no door, nobody does.
async fn come_in(door: Option<&OpenDoor>) -> (HandedOver, Side) {
    let Some(OpenDoor { listener, side }) = door else { return pending().await };
    loop {
        let accepted = listener.accept().await.and_then(|(socket, _)| socket.into_std());
        match accepted {
            Ok(socket) => {
                let handed = HandedOver { socket: socket.into(), received: Vec::new() };
                return (handed, side.clone());
            }
            Err(fault) => tracing::warn!(%fault, "an operator cannot come in"),
        }
        tokio::time::sleep(limits::ACCEPT_AGAIN_AFTER).await;
    }
}

fn log_panic(ended: Result<(), JoinError>) {
    if let Err(fault) = ended {
        tracing::error!(%fault, "a request handler panicked; its connection is closed");
    }
}

async fn serve_socket(
    handed: HandedOver,
    router: Router,
    limits: Limits,
    stop: watch::Receiver<bool>,
) {
    // Whatever is wrong, it concerns that peer alone.
    match adopt(handed.socket, &limits) {
        Ok(socket) => {
            let peer = Peer(socket.peer_addr().ok().map(|peer| peer.ip()));
            serve(&handed.received, socket, peer, router, limits, stop).await;
        }
        Err(fault) => tracing::debug!(%fault, "connection not taken up"),
    }
}

/// Answers the requests of a connection that began with `received`.
pub(super) async fn serve(
    received: &[u8],
    socket: impl AsyncRead + AsyncWrite + Unpin + Send,
    peer: Peer,
    router: Router,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let gate = Gate::new(received, socket);
    let refusal = gate.refusal();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        answer(request, Arc::clone(&refusal), router.clone())
    });
    let mut connection = protocol(&limits).serve_connection(TokioIo::new(gate), service);
    let ended = tokio::select! {
        ended = &mut connection => Some(ended),
        _ = stop.wait_for(|stopped| *stopped) => None,
    };
    let is_stopped = ended.is_none();
    let ended = match ended {
        Some(ended) => ended,
        None => {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    if let Err(fault) = ended {
        tracing::debug!(%fault, "connection ended");
    }
    if !is_stopped {
        let gate = connection.into_parts().io.into_inner();
        tokio::select! {
            () = gate.linger() => {}
            _ = stop.wait_for(|stopped| *stopped) => {}
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    refusal: Refusal,
    router: Router,
) -> Result<Response, Infallible> {
    if gate::is_replacement(&request)
        && let Some(fault) = refusal.get()
    {
        return Ok(Fault::from(*fault).into_response());
    }
    if !has_length(&request) {
        return Ok(Fault::without_length().into_response());
    }
    let subscribes = request.method() == Method::GET && request.uri().path() == EVENTS_PATH;
    let (head, body) = request.into_parts();
    let (body, is_read) = WatchedBody::new(body);
    let mut response = router.oneshot(Request::from_parts(head, body)).await?;
    // A subscription is refused as by a core, which closes. Where the next request begins, is only known
    // to whoever has read a body to its end.
    let is_refused = subscribes && !response.status().is_success();
    if is_refused || !is_read.load(Ordering::Relaxed) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// What follows a POST without a length is the next request, whatever its sender meant.
fn has_length(request: &Request<Incoming>) -> bool {
    request.method() != Method::POST
        || request.headers().contains_key(header::CONTENT_LENGTH)
        || request.headers().contains_key(header::TRANSFER_ENCODING)
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

#[cfg(test)]
mod tests;
