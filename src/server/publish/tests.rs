use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::http::Method;
use http_body_util::BodyExt;
use hyper::body::Frame;
use prometheus_client::registry::Registry;

use super::*;
use crate::{
    log::LogOptions,
    provider::{LocalProvider, Publisher},
    server::routes::Places,
};

/// A body that gives its chunk and then nothing more, nor its end.
struct Stuck(Option<Bytes>);

impl http_body::Body for Stuck {
    type Data = Bytes;
    type Error = std::convert::Infallible;

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

fn desk() -> Desk {
    let provider = LocalProvider::new(LogOptions::default());
    let places = Places::of(Some(&provider));
    Desk::new(
        Publisher::new(provider),
        Arc::default(),
        Registry::default(),
        places,
        None,
        Arc::default(),
    )
}

/// Publishes a body that gets stuck after `chunk`; the clock runs ahead while nothing happens.
async fn publish_stuck(content_type: &str, chunk: &'static str) -> (StatusCode, String) {
    let request = Request::builder()
        .method(Method::POST)
        .uri("/publish?topic=a")
        .header(header::CONTENT_TYPE, content_type)
        .body(Body::new(Stuck(Some(Bytes::from_static(chunk.as_bytes())))))
        .unwrap();
    let response = publish(State(desk()), request).await.into_response();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_body_without_progress_is_given_up() {
    let started = tokio::time::Instant::now();
    let (status, body) = publish_stuck("text/plain", "x").await;
    assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(body, r#"{"error":"nothing of the body arrived for 10 seconds"}"#);
    assert_eq!(started.elapsed().as_secs(), limits::BODY_DEADLINE.as_secs());
}

#[tokio::test(start_paused = true)]
async fn lines_before_the_standstill_stay_published() {
    let (status, body) = publish_stuck("application/x-ndjson", "{\"data\":\"1\"}\n{\"da").await;
    assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
    let expected =
        r#"{"error":"nothing of the body arrived for 10 seconds","line":2,"published":1}"#;
    assert_eq!(body, expected);
}

/// I11: whatever the split, the same lines come out.
#[test]
fn any_split_of_the_lines_publishes_the_same() {
    let body = "{\"data\":\"1\"}\n\r\n{\"data\":\"zwö\"}\r\n{\"data\":\"3\",\"id\":\"i\"}";
    for first in 0..=body.len() {
        for second in [first, (first + 7).min(body.len()), body.len()] {
            let desk = desk();
            let topics = ["a".to_owned()];
            let mut lines = Lines::new(&desk, &topics);
            let bytes = body.as_bytes();
            for part in [&bytes[..first], &bytes[first..second], &bytes[second..]] {
                lines.add(part).unwrap();
            }
            let accepted = lines.finish().unwrap();
            assert_eq!((accepted.published, accepted.id.unwrap().as_str()), (3, "i"));
        }
    }
}

#[test]
fn messages_name_their_topics_or_take_those_of_the_query() {
    let topics = ["q".to_owned()];
    let topics_of = |json: &'static str, query: &[String]| -> Vec<String> {
        let (_, topics) = parse_item(json.as_bytes(), query).unwrap();
        topics.into_iter().map(Cow::into_owned).collect()
    };
    assert_eq!(topics_of(r#"{"data":"","topics":["a","b"]}"#, &topics), ["a", "b"]);
    assert_eq!(topics_of(r#"{"data":"","topics":null}"#, &topics), ["q"]);
    assert_eq!(topics_of(r#" {"data":""}"#, &[]), [DEFAULT_TOPIC]);
}
