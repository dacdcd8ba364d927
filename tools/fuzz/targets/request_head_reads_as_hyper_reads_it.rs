//! What our parser takes for a request head, hyper reads in the same way: method, target, and where the
//! body ends. So between the two there is no second reading to hide a request in.

#![no_main]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use fanfare::http::{BodyLength, Head, RequestHead, parse_head};
use fanfare_fuzz::paused_runtime;
use http_body::Body;
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncWriteExt, duplex};

/// More than any head.
const PIPE_BYTES: usize = 64 * 1024;

fuzz_target!(|bytes: &[u8]| {
    let Ok(Head::Complete(head)) = parse_head(bytes) else { return };
    match read_by_hyper(&bytes[..head.len]) {
        Some(read) => assert_eq!(read, Read::of(&head)),
        // What it refuses besides are targets, which it holds to be no URIs.
        None => assert!(target(bytes).parse::<Uri>().is_err(), "refused: {head:?}"),
    }
});

#[derive(Debug, PartialEq)]
struct Read {
    method: String,
    path: String,
    query: Option<String>,
    /// None if it is chunked.
    body: Option<u64>,
}

impl Read {
    fn of(head: &RequestHead<'_>) -> Self {
        Self {
            method: head.method.to_owned(),
            path: head.path.to_owned(),
            query: head.query.map(str::to_owned),
            body: match head.body_length() {
                BodyLength::None => Some(0),
                BodyLength::Exact(length) => Some(length),
                BodyLength::Chunked => None,
            },
        }
    }

    fn of_request(request: &Request<Incoming>) -> Self {
        Self {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().map(str::to_owned),
            body: request.body().size_hint().exact(),
        }
    }
}

fn read_by_hyper(head: &[u8]) -> Option<Read> {
    let read = Arc::new(Mutex::new(None));
    let service = service_fn(|request: Request<Incoming>| {
        *read.lock().expect("no panic under it") = Some(Read::of_request(&request));
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    });
    paused_runtime().block_on(async {
        let (mut near, far) = duplex(PIPE_BYTES);
        near.write_all(head).await.expect("there is room");
        near.shutdown().await.expect("it is open");
        // How it ends without a body is not the question.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(far), service).await;
    });
    read.lock().expect("no panic under it").take()
}

/// The target as it was sent.
fn target(head: &[u8]) -> String {
    let line = head.trim_ascii_start().split(|byte| *byte == b'\r').next().unwrap_or_default();
    let target = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    String::from_utf8_lossy(target).into_owned()
}
