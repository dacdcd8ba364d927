use std::sync::Mutex;

use axum::{
    body::Bytes,
    extract::State,
    routing::{get, post},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::{Duration, Instant},
};

use super::*;

/// What was published, in order.
type Published = Arc<Mutex<Vec<String>>>;

async fn record(State(published): State<Published>, body: Bytes) -> &'static str {
    published.lock().unwrap().push(String::from_utf8_lossy(&body).into_owned());
    "taken"
}

fn router(published: &Published) -> Router {
    Router::new()
        .route("/publish", post(record))
        .route("/health", get("ok"))
        .route("/much", get(|| async { vec![b'x'; 1 << 20] }))
        .with_state(Arc::clone(published))
}

/// Serves a connection on which a core has received the first piece, and the others follow. Gives the
/// statuses of the answers, and what was published.
async fn serve_pieces(pieces: &[&[u8]]) -> (Vec<u16>, Vec<String>) {
    let published = Published::default();
    let (near, far) = duplex(1 << 20);
    let (_stop, stopped) = watch::channel(false);
    let peer = async {
        let (mut read, mut write) = tokio::io::split(near);
        let mut answers = Vec::new();
        let send = async {
            for piece in &pieces[1..] {
                // The server may have hung up.
                let _ = write.write_all(piece).await;
                tokio::task::yield_now().await;
            }
            // Later than whatever the server does about it.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let _ = write.shutdown().await;
        };
        tokio::join!(send, async { read.read_to_end(&mut answers).await.unwrap() });
        answers
    };
    let served = serve(pieces[0], far, Peer(None), router(&published), Limits::default(), stopped);
    let (_, answers) = tokio::join!(served, peer);
    let answers = String::from_utf8(answers).unwrap();
    let statuses = answers.match_indices("HTTP/1.1 ").map(|(at, start)| {
        let status = &answers[at + start.len()..];
        status[..3].parse().unwrap()
    });
    (statuses.collect(), published.lock().unwrap().clone())
}

/// The same whichever way the bytes come.
async fn serve_every_way(bytes: &[u8]) -> (Vec<u16>, Vec<String>) {
    let whole = serve_pieces(&[bytes]).await;
    for cut in 0..bytes.len() {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(
            serve_pieces(&[first, second]).await,
            whole,
            "at {cut} of {}",
            bytes.escape_ascii()
        );
    }
    let dripped: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(serve_pieces(&dripped).await, whole, "byte by byte");
    whole
}

fn publish(headers: &str, body: &str) -> String {
    format!("POST /publish HTTP/1.1\r\nHost: h\r\n{headers}\r\n\r\n{body}")
}

fn publish_text(text: &str) -> String {
    publish(&format!("Content-Length: {}", text.len()), text)
}

#[tokio::test(start_paused = true)]
async fn requests_are_answered_in_order_however_they_are_cut() {
    let requests = [
        publish_text("one"),
        "GET /health HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        publish("Transfer-Encoding: chunked", "3;a\r\ntwo\r\n0\r\nX: y\r\n\r\n"),
        publish_text("three"),
    ]
    .concat();
    let (statuses, published) = serve_every_way(requests.as_bytes()).await;
    assert_eq!(statuses, [200; 4]);
    assert_eq!(published, ["one", "two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn a_later_head_is_refused_as_the_first_would_be_and_nothing_behind_it_is_read() {
    let marker = publish_text("marker");
    let host = "POST /publish HTTP/1.1\r\nHost: h\r\n";
    for (head, status) in [
        (format!("{host}Host: h\r\nContent-Length: 1\r\n\r\n"), 400),
        (format!("{host}Transfer-Encoding: gzip, chunked\r\n\r\n"), 400),
        (format!("{host}Transfer-Encoding: , chunked\r\n\r\n"), 400),
        (format!("{host}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"), 400),
        (format!("{host}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), 400),
        (format!("{host}Expect: more\r\nContent-Length: 0\r\n\r\n"), 417),
        (format!("{host}X: {}\r\n\r\n", "y".repeat(limits::HEAD_BYTES_MAX)), 431),
        ("POST  /publish HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".into(), 400),
        ("POST /publish#x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".into(), 400),
        ("POST /publish HTTP/1.1\nHost: h\r\nContent-Length: 0\r\n\r\n".into(), 400),
        ("POST /publish HTTP/1.1\r\nHost: a b\r\nContent-Length: 0\r\n\r\n".into(), 400),
        ("POST /publish HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(), 400),
        ("GET * HTTP/1.1\r\nHost: fanfare\r\nConnection: close\r\n\r\n".into(), 400),
        ("CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n".into(), 400),
        ("\r\n\r\nGET /health HTTP/1.1\r\nHost: h\r\n\r\n".into(), 400),
        ("\x16\x03\x01".into(), 400),
    ] {
        let bytes = [&publish_text("before"), &head, &marker].map(|text| text.as_bytes()).concat();
        let expected = (vec![200, status], vec!["before".to_owned()]);
        if bytes.len() < 1_000 {
            assert_eq!(serve_every_way(&bytes).await, expected, "{head:?}");
        } else {
            assert_eq!(serve_pieces(&[&bytes]).await, expected, "{head:?}");
            let pieces: Vec<_> = bytes.chunks(1_009).collect();
            assert_eq!(serve_pieces(&pieces).await, expected, "{head:?} in pieces");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_malformed_body_is_no_body_and_its_end_no_request() {
    let marker = publish_text("marker");
    for body in [
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX y\r\n\r\n",
        "5;\nx\r\nhello\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFF\r\nhello",
        "\r\nhello",
    ] {
        let bytes = [publish("Transfer-Encoding: chunked", body), marker.clone()].concat();
        let (statuses, published) = serve_every_way(bytes.as_bytes()).await;
        assert_eq!((&statuses[..], published.len()), (&[400][..], 0), "{body:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_reads_ends_the_connection() {
    let body = publish_text("inside");
    let health =
        format!("GET /health HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len());
    let bytes = [&health, &body, &publish_text("after")].map(|text| text.as_bytes()).concat();
    assert_eq!(serve_every_way(&bytes).await, (vec![200], vec![]));
}

async fn read_some(near: &mut DuplexStream) {
    near.read_exact(&mut [0; 100]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_of_its_answer_is_cut() {
    let (mut near, far) = duplex(1_000);
    let (_stop, stopped) = watch::channel(false);
    let request = b"GET /much HTTP/1.1\r\nHost: h\r\n\r\n";
    let served = tokio::spawn(async move {
        serve(request, far, Peer(None), router(&Published::default()), Limits::default(), stopped)
            .await;
        Instant::now()
    });
    let almost = limits::WRITE_STALL_DEADLINE - Duration::from_secs(1);
    for _ in 0..3 {
        tokio::time::sleep(almost).await;
        read_some(&mut near).await;
    }
    let last = Instant::now();
    let waited = served.await.unwrap() - last;
    let lingered = limits::WRITE_STALL_DEADLINE + limits::REFUSED_DEADLINE;
    assert!(
        (limits::WRITE_STALL_DEADLINE..=lingered + limits::DEADLINE_SLACK).contains(&waited),
        "{waited:?}"
    );
}
