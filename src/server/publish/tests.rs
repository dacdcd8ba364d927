use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::http::{Method, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Frame;
use prometheus_client::registry::Registry;
use tokio::time::{Instant, Interval, interval};

use super::*;
use crate::{
    engine::SharedTuning,
    limits::{self, Limits},
    log::LogOptions,
    provider::{LocalProvider, Publisher},
    server::{
        access::{Access, Gates},
        routes::Places,
    },
};

/// A body that gives its chunk and then nothing more, nor its end.
struct Stuck(Option<Bytes>);

impl http_body::Body for Stuck {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.0.take() {
            Some(chunk) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
            None => Poll::Pending,
        }
    }
}

/// A body that gives its chunk time and again, for ever.
struct Dripping(Interval, &'static str);

impl http_body::Body for Dripping {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = Bytes::from_static(self.1.as_bytes());
        self.0.poll_tick(context).map(|_| Some(Ok(Frame::data(chunk))))
    }
}

pub(super) fn desk() -> Desk {
    let provider = LocalProvider::new(LogOptions::default());
    let places = Places::of(Some(&provider), &Limits::default());
    let gates = Arc::new(Gates::new(Access::new(), ([127, 0, 0, 1], 0).into(), false).unwrap());
    Desk::new(
        Publisher::new(provider),
        Arc::default(),
        Registry::default(),
        places,
        gates,
        SharedTuning::default(),
        Arc::default(),
    )
}

pub(super) fn grant(desk: &Desk) -> PublishGrant {
    let (head, ()) = Request::new(()).into_parts();
    desk.gates.current().publish(&Asked::of_parts(&head)).unwrap()
}

/// Publishes a body that gets stuck after `chunk`; the clock runs ahead while nothing happens.
async fn publish_stuck(content_type: &str, chunk: &'static str) -> (StatusCode, String) {
    publish_body(content_type, Body::new(Stuck(Some(Bytes::from_static(chunk.as_bytes()))))).await
}

async fn publish_body(content_type: &str, body: Body) -> (StatusCode, String) {
    let request = Request::builder()
        .method(Method::POST)
        .uri("/publish?topic=a")
        .header(header::CONTENT_TYPE, content_type)
        .body(body)
        .unwrap();
    let response = publish(State(desk()), request).await.into_response();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_body_without_progress_is_given_up() {
    let started = Instant::now();
    let (status, body) = publish_stuck("text/plain", "x").await;
    assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
    assert!(
        body.ends_with(r#""detail":"the message did not arrive within 10 seconds"}"#),
        "{body}"
    );
    assert_eq!(started.elapsed().as_secs(), limits::BODY_DEADLINE.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_drips_is_given_up_as_well() {
    for (content_type, chunk) in [("text/plain", "x"), ("application/x-ndjson", " ")] {
        let started = Instant::now();
        let body = Body::new(Dripping(interval(Duration::from_secs(1)), chunk));
        let (status, body) = publish_body(content_type, body).await;
        assert_eq!(status, StatusCode::REQUEST_TIMEOUT, "{body}");
        assert_eq!(started.elapsed().as_secs(), limits::BODY_DEADLINE.as_secs());
    }
}

/// A stream of lines goes on for as long as there are lines.
#[tokio::test(start_paused = true)]
async fn lines_that_drip_are_taken_one_by_one() {
    let lines = Dripping(interval(Duration::from_secs(9)), "{\"data\":\"x\"}\n");
    let publishing = publish_body("application/x-ndjson", Body::new(lines));
    let a_minute = tokio::time::timeout(Duration::from_secs(60), publishing);
    assert!(a_minute.await.is_err(), "it is not given up");
}

#[tokio::test(start_paused = true)]
async fn lines_before_the_standstill_stay_published() {
    let (status, body) = publish_stuck("application/x-ndjson", "{\"data\":\"1\"}\n{\"da").await;
    assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
    let expected =
        r#""detail":"the message did not arrive within 10 seconds","line":2,"published":1}"#;
    assert!(body.ends_with(expected), "{body}");
}

/// What the server says to a whole body: its status, its answer, and whether that is an earlier one.
async fn answer(
    desk: &Desk,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> (u16, String, bool) {
    let mut request = Request::builder().method(Method::POST).uri("/publish?topic=a");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body.into()).unwrap();
    let response = publish(State(desk.clone()), request).await.into_response();
    let is_replayed = response.headers().get(IDEMPOTENCY_REPLAYED).is_some();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap(), is_replayed)
}

fn published(desk: &Desk) -> u64 {
    let head = desk.publisher.provider().local().unwrap().log().head();
    head.number() - crate::log::Sequence::FIRST.number()
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn an_array_is_published_whole_or_not_at_all() {
    let desk = desk();
    let (status, body, _) =
        answer(&desk, &[JSON], r#" [{"data":"1","id":"x"},{"data":"2","topics":["b"]}]"#).await;
    let epoch = desk.publisher.provider().local().unwrap().log().epoch();
    let receipts =
        format!(r#"[{{"id":"x","subscribers":0}},{{"id":"{epoch:08x}-2","subscribers":0}}]"#);
    assert_eq!((status, body), (202, receipts));
    assert_eq!(answer(&desk, &[JSON], "[]").await.1, "[]");
    let (status, body, _) =
        answer(&desk, &[JSON], r#"[{"data":"3"},{"data":"4","id":"a\nb"}]"#).await;
    assert_eq!(status, 400);
    assert!(body.contains("message 2: event id has a line feed"), "{body}");
    assert_eq!(published(&desk), 2);
}

#[tokio::test]
async fn an_array_has_a_bound() {
    let desk = desk();
    let array = |len| format!("[{}]", vec![r#"{"data":""}"#; len].join(","));
    assert_eq!(answer(&desk, &[JSON], array(limits::BATCH_MESSAGES_MAX)).await.0, 202);
    let (status, body, _) = answer(&desk, &[JSON], array(limits::BATCH_MESSAGES_MAX + 1)).await;
    assert_eq!(status, 400);
    assert!(body.contains("1025 messages are more than 1024"), "{body}");
    assert_eq!(published(&desk), limits::BATCH_MESSAGES_MAX as u64);
}

#[tokio::test]
async fn a_key_publishes_once() {
    let desk = desk();
    for (format, key, first, other) in [
        (JSON, r#""k 1""#, r#"{"data":"1"}"#, r#"{"data":"2"}"#),
        (JSON, "k2", r#"[{"data":"1"},{"data":"2"}]"#, r#"[{"data":"1"}]"#),
        (("content-type", "text/plain"), "k3", "1", "2"),
    ] {
        let before = published(&desk);
        let headers = [format, ("Idempotency-Key", key)];
        let (status, receipt, is_replayed) = answer(&desk, &headers, first).await;
        assert_eq!((status, is_replayed), (202, false), "{receipt}");
        let after = published(&desk);
        assert!(after > before);
        assert_eq!(answer(&desk, &headers, first).await, (202, receipt, true));
        let (status, fault, _) = answer(&desk, &headers, other).await;
        assert!(status == 422 && fault.contains("used for something else"), "{fault}");
        assert_eq!(published(&desk), after, "under {key}");
    }
}

#[tokio::test]
async fn a_faulty_key_is_refused() {
    let desk = desk();
    let long = "k".repeat(limits::IDEMPOTENCY_KEY_BYTES_MAX + 1);
    for (keys, fault) in [
        (&["a\"b"][..], "idempotency key is malformed"),
        (&["a", "a"], "idempotency key is given twice"),
        (&["\"\""], "idempotency key of 0 bytes"),
        (&[&long], "idempotency key of 129 bytes"),
    ] {
        let headers: Vec<_> = keys.iter().map(|key| ("idempotency-key", *key)).collect();
        let (status, body, _) = answer(&desk, &headers, "x").await;
        assert!(status == 400 && body.contains(fault), "{body}");
    }
    let lines = [("content-type", "application/x-ndjson"), ("idempotency-key", "k")];
    let (status, body, _) = answer(&desk, &lines, "{\"data\":\"\"}\n").await;
    assert!(status == 400 && body.contains("send an array"), "{body}");
    assert_eq!(published(&desk), 0);
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test]
async fn a_form_has_fields() {
    let desk = desk();
    let mut subscription = desk
        .publisher
        .provider()
        .subscribe(&crate::provider::SubscribeRequest::to(&["a", "b c"]))
        .unwrap();
    let mut next = async || {
        let chunk = std::future::poll_fn(|context| {
            futures_core::Stream::poll_next(Pin::new(&mut subscription), context)
        });
        String::from_utf8(chunk.await.unwrap().unwrap().to_vec()).unwrap()
    };
    let whole =
        "topic=b+c&topic=d&data=h%C3%A4+%26%0Al&id=7&event=price&retry=250&conflation_key=k";
    let (status, body, _) = answer(&desk, &[FORM], whole).await;
    assert_eq!((status, &*body), (202, r#"{"id":"7","subscribers":1}"#));
    assert!(next().await.ends_with("id: 7\nevent: price\nretry: 250\ndata: hä &\ndata: l\n\n"));
    // Topics of the query, and inputs that nobody filled in.
    assert_eq!(answer(&desk, &[FORM], "data=&id=&event=&retry=").await.0, 202);
    assert!(next().await.ends_with("\ndata: \n\n"));

    let boundary = ("content-type", "multipart/form-data; boundary=X");
    let part = |name: &str, value: &str| {
        format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let parts = part("data", "a&b\r\n--Y") + &part("id", "8") + &part("topic", "a") + "--X--\r\n";
    let (status, body, _) = answer(&desk, &[boundary], parts).await;
    assert_eq!((status, &*body), (202, r#"{"id":"8","subscribers":1}"#));
    assert!(next().await.ends_with("id: 8\ndata: a&b\ndata: --Y\n\n"));
    for (broken, fault) in [
        (part("data", "x"), "incomplete data"),
        (part("dat", "x") + "--X--\r\n", "unknown field"),
        ("--X--\r\n".to_owned(), "missing field"),
    ] {
        let (status, body, _) = answer(&desk, &[boundary], broken).await;
        assert!(status == 400 && body.contains(fault), "{body}");
    }
}

#[tokio::test]
async fn faults_of_a_form_are_named() {
    let desk = desk();
    for (form, fault) in [
        ("hello", "unknown field \\\"hello\\\": a form has"),
        ("id=1", "missing field \\\"data\\\""),
        ("data=x&data=y", "field \\\"data\\\" is given twice"),
        ("data=%ff", "not UTF-8 at byte 5"),
        ("data=%C3&id=%A4", "not UTF-8 at byte 5"),
        ("data=x&id=a%0Ab", "field \\\"id\\\": event id has a line feed at byte 1"),
        ("data=x&event=a%0Db", "field \\\"event\\\": event type has a carriage return"),
        ("data=x&retry=-1", "field \\\"retry\\\": invalid digit"),
        ("data=x&topic=", "topic is empty"),
        (&("topic=a&".repeat(33) + "data=x"), "more than 32 topics"),
    ] {
        let (status, body, _) = answer(&desk, &[FORM], form.to_owned()).await;
        assert!(status == 400 && body.contains(fault), "{form}: {body}");
    }
    assert_eq!(published(&desk), 0);
}
