//! A peer of the comparison: the strongest that a Rust developer would write by hand.
//!
//! `peer_hyper ADDRESS` serves `GET /events` and `POST /publish` on hyper alone. A message is encoded once and its
//! `Bytes` are cloned into a channel for each connection, whose body hyper writes without copying them.
//! There is one topic and no replay. One thread, as it is given one CPU; Nagle's algorithm
//! is off; Fanfare's allocator.
#![forbid(unsafe_code)]

use std::{
    convert::Infallible,
    env, io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CACHE_CONTROL, CONTENT_TYPE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    sync::mpsc::{self, Receiver, Sender},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Events that a subscriber may be behind before it is cut: 8 s at 2,000 a second.
const BUFFERED: usize = 16_384;

#[derive(Default)]
struct App {
    published: u64,
    subscribers: Vec<Sender<Bytes>>,
}

type Shared = Arc<Mutex<App>>;

/// The body of a response.
enum Answer {
    Events(Receiver<Bytes>),
    Empty,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address =
        env::args().nth(1).ok_or_else(|| io::Error::other("usage: peer_hyper ADDRESS"))?;
    let listener = TcpListener::bind(address).await?;
    let app = Shared::default();
    loop {
        let (connection, _) = listener.accept().await?;
        // Without it a small event waits for the acknowledgement of the one before.
        connection.set_nodelay(true)?;
        let app = Arc::clone(&app);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&app), request));
            // How a connection ends is the load tester's to judge.
            let _ = http1::Builder::new()
                .pipeline_flush(true)
                .serve_connection(TokioIo::new(connection), service)
                .await;
        });
    }
}

async fn answer(app: Shared, request: Request<Incoming>) -> Result<Response<Answer>, hyper::Error> {
    let mut response = Response::new(Answer::Empty);
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/events") => {
            *response.body_mut() = Answer::Events(lock(&app).subscribe());
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, const { value("text/event-stream") });
            headers.insert(CACHE_CONTROL, const { value("no-store") });
        }
        (&Method::POST, "/publish") => {
            let data = request.into_body().collect().await?.to_bytes();
            lock(&app).publish(&data);
            *response.status_mut() = StatusCode::ACCEPTED;
        }
        _ => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    Ok(response)
}

const fn value(text: &'static str) -> hyper::header::HeaderValue {
    hyper::header::HeaderValue::from_static(text)
}

fn lock(app: &Shared) -> std::sync::MutexGuard<'_, App> {
    app.lock().unwrap_or_else(PoisonError::into_inner)
}

impl App {
    fn subscribe(&mut self) -> Receiver<Bytes> {
        let (sender, receiver) = mpsc::channel(BUFFERED);
        self.subscribers.push(sender);
        receiver
    }

    /// Who is gone, or has no room, is no subscriber any more.
    fn publish(&mut self, data: &[u8]) {
        let event = encode(self.published, data);
        self.published += 1;
        self.subscribers.retain(|subscriber| subscriber.try_send(event.clone()).is_ok());
    }
}

fn encode(id: u64, data: &[u8]) -> Bytes {
    let mut event = BytesMut::with_capacity(data.len() + 32);
    event.put_slice(format!("id: {id}\n").as_bytes());
    for line in data.split(|&byte| byte == b'\n') {
        event.put_slice(b"data: ");
        event.put_slice(line);
        event.put_u8(b'\n');
    }
    event.put_u8(b'\n');
    event.freeze()
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Events(events) => {
                events.poll_recv(context).map(|event| Some(Ok(Frame::data(event?))))
            }
            Self::Empty => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Empty)
    }
}
