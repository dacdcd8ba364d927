use std::{pin::Pin, time::Duration};

use axum::{body::Body, http::Method};
use futures_core::Stream;
use http_body_util::BodyExt;
use prometheus_client::registry::Registry;
use tower::ServiceExt;

use super::*;
use crate::{
    engine::SharedTuning,
    limits::{self, Limits},
    log::LogOptions,
    provider::{LocalProvider, Publisher, Subscription},
    server::{
        access::{Access, Gates},
        routes::Places,
    },
};

/// The router with both façades, and the provider behind it.
struct Hub {
    provider: LocalProvider,
    router: Router,
}

impl Hub {
    fn new() -> Self {
        let mut facades = Facades::default();
        facades.add(Facade::Mercure);
        facades.add(Facade::Nchan);
        Self::with(facades)
    }

    fn with(facades: Facades) -> Self {
        let provider = LocalProvider::new(LogOptions::default());
        let publisher = Publisher::new(provider.clone());
        let places = Places::of(Some(&provider), &Limits::default());
        let (counters, is_draining) = (Arc::default(), Arc::default());
        let gates = Arc::new(Gates::new(Access::new(), ([127, 0, 0, 1], 0).into(), false).unwrap());
        let tuning = SharedTuning::default();
        let desk =
            Desk::new(publisher, counters, Registry::default(), places, gates, tuning, is_draining);
        Self { provider, router: routes::router(desk.with_facades(facades)) }
    }

    async fn response(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn answer(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, String) {
        let response = self.response(method, target, headers, body).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn update(&self, form: &str) -> (u16, String) {
        self.answer(Method::POST, mercure::PATH, &[FORM], form).await
    }

    /// The refusal of a `GET`, which names its fault.
    async fn refusal(&self, target: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let (status, body) = self.answer(Method::GET, target, headers, "").await;
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
        (status, problem["detail"].as_str().unwrap().to_owned())
    }

    fn subscribe(&self, target: &str, headers: &[(&str, &str)]) -> SubscribeRequest {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let values = |wanted: &str| {
            headers.iter().filter(|(name, _)| *name == wanted).map(|(_, v)| v.as_bytes()).collect()
        };
        let get = Get {
            path,
            query: Some(query),
            last_event_ids: values("last-event-id"),
            accept: values("accept"),
        };
        let mut facades = Facades::default();
        facades.add(Facade::Mercure);
        facades.add(Facade::Nchan);
        facades.selection(&get).unwrap().unwrap()
    }

    fn listen(&self, topics: &[&str]) -> Events {
        let subscription = self.provider.subscribe(&SubscribeRequest::to(topics)).unwrap();
        Events(Subscription::new(subscription))
    }
}

struct Events(Subscription);

impl Events {
    async fn next(&mut self) -> String {
        let next = std::future::poll_fn(|context| Pin::new(&mut self.0).poll_next(context));
        String::from_utf8(next.await.unwrap().unwrap().to_vec()).unwrap()
    }
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const EVENTS: (&str, &str) = ("accept", "text/event-stream");

#[tokio::test]
async fn without_facades_there_is_nothing_at_their_urls() {
    let plain = Hub::with(Facades::default());
    for target in [mercure::PATH, "/pub?id=a", "/sub?id=a"] {
        let (status, _) = plain.refusal(target, &[EVENTS]).await;
        assert_eq!(status, 404, "{target}");
    }
}

#[test]
fn a_mercure_subscription_is_read_from_the_query() {
    let hub = Hub::new();
    let request = hub.subscribe(
        "/.well-known/mercure?topic=https%3A%2F%2Fa.b%2F%7Bid%7D&topic=x&match=y&matchURLPattern=/z/:id\
         &other=1&lastEventID=e1",
        &[],
    );
    assert_eq!(request.topics, ["https://a.b/*", "x", "y", "/z/*"]);
    assert_eq!(request.last_event_id.as_deref(), Some("e1"));
    let request = hub.subscribe(
        "/.well-known/mercure?topic=*&Last-Event-ID=old",
        &[("last-event-id", "header")],
    );
    assert_eq!(request.topics, ["**"]);
    assert_eq!(request.last_event_id.as_deref(), Some("header"));
}

#[tokio::test]
async fn faults_of_a_mercure_subscription_are_named() {
    let hub = Hub::new();
    for (query, fault) in [
        ("", "missing parameter \"topic\""),
        ("topic=", "topic is empty"),
        ("topic=a/{b", "topic selector \"a/{b\" is not supported"),
        ("topic=a/*", "topic selector \"a/*\" is not supported"),
        ("topic=/a/{b}/c%0A", "topic name has a control character"),
        (&format!("topic=/{{a}}/{}", "x".repeat(256)), "topic name of 259 bytes is longer"),
        ("matchRegexp=a", "unknown parameter \"matchRegexp\""),
        ("MATCH=a", "unknown parameter \"MATCH\""),
        ("topic=a&lastEventID=1&lastEventID=2", "last event id is given twice"),
    ] {
        let (status, told) = hub.refusal(&format!("{}?{query}", mercure::PATH), &[]).await;
        assert!(status == 400 && told.starts_with(fault), "{query}: {told}");
    }
}

#[tokio::test]
async fn a_mercure_update_is_published_and_answered_with_its_id() {
    let hub = Hub::new();
    let mut events = hub.listen(&["https://a.b/1"]);
    let (status, id) =
        hub.update("topic=https%3A%2F%2Fa.b%2F1&topic=alt&data=h%C3%A4%0Al&ignored=1").await;
    assert_eq!((status, &*id), (200, &*format!("{:08x}-1", hub.provider.log().epoch())));
    assert_eq!(events.next().await, format!("id: {id}\ndata: hä\ndata: l\n\n"));
    assert_eq!(hub.provider.retained("alt").unwrap().messages, 1);

    let all = "topic=https%3A%2F%2Fa.b%2F1&id=urn%3Auuid%3A1&type=add&retry=2500&data=x";
    assert_eq!(hub.update(all).await, (200, "urn:uuid:1".to_owned()));
    assert_eq!(events.next().await, "id: urn:uuid:1\nevent: add\nretry: 2500\ndata: x\n\n");
    // Without data it is an event all the same.
    assert_eq!(hub.update("topic=https%3A%2F%2Fa.b%2F1&type=&retry=").await.0, 200);
    assert!(events.next().await.ends_with("\ndata: \n\n"));
}

#[tokio::test]
async fn faults_of_a_mercure_update_are_named() {
    let hub = Hub::new();
    for (form, status, fault) in [
        ("data=x", 400, "missing field"),
        ("topic=a&private=on&data=x", 501, "private updates would reach everybody here"),
        ("topic=/.well-known/mercure/subscriptions/a&data=x", 403, "are reserved"),
        ("topic=&data=x", 400, "topic is empty"),
        ("topic=a/*&data=x", 400, "topic name is a pattern"),
        ("topic=a&id=a%0Ab", 400, "event id has a line feed"),
        ("topic=a&retry=soon", 400, "invalid digit"),
        ("topic=a&data=%ff", 400, "not UTF-8"),
        (&"topic=a&".repeat(33), 400, "33 topics are more than 32"),
    ] {
        let (told, body) = hub.update(form).await;
        assert!(told == status && body.contains(fault), "{form}: {body}");
    }
    let json = [("content-type", "application/json")];
    let (status, _) = hub.answer(Method::POST, mercure::PATH, &json, "{}").await;
    assert_eq!(status, 415);
    let response = hub.response(Method::PUT, mercure::PATH, &[], "").await;
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["allow"], "GET,HEAD,POST");
    assert_eq!(hub.provider.topics(), 0);
}

#[test]
fn an_nchan_subscription_names_its_channels_in_path_or_query() {
    let hub = Hub::new();
    let topics = |target: &str| hub.subscribe(target, &[EVENTS]).topics;
    assert_eq!(topics("/sub?id=a&id=b&x=y"), ["a", "b"]);
    assert_eq!(topics("/sub/a%2Fb/c"), ["a/b/c"]);
    let browser = [("accept", "image/png"), ("accept", "text/html, text/event-stream;q=1")];
    let request = hub.subscribe("/sub/a?last_event_id=7", &browser);
    assert_eq!(request.last_event_id.as_deref(), Some("7"));
    let request = hub.subscribe("/sub/a?last_event_id=7", &[EVENTS, ("last-event-id", "8")]);
    assert_eq!(request.last_event_id.as_deref(), Some("8"));
}

#[tokio::test]
async fn faults_of_an_nchan_request_are_named() {
    let hub = Hub::new();
    for (target, status, fault) in [
        ("/sub", 400, "no channel is named"),
        ("/sub/", 404, "no such path"),
        ("/sub?id=", 400, "topic is empty"),
        ("/pub", 400, "no channel is named"),
        ("/pub?id=a&id=b", 400, "more than one channel"),
        ("/pub?id=nobody", 404, "no such channel"),
        ("/pub?id=a/*", 400, "topic name is a pattern"),
    ] {
        let refusal = hub.refusal(target, &[EVENTS]).await;
        assert_eq!(refusal, (status, refusal.1.clone()), "{target}");
        assert!(refusal.1.starts_with(fault), "{target}: {}", refusal.1);
    }
    let (status, fault) = hub.refusal("/sub?id=a", &[("accept", "*/*")]).await;
    assert!(status == 400 && fault.contains("send Accept: text/event-stream"), "{fault}");
    let (status, _) = hub.answer(Method::DELETE, "/pub?id=a", &[], "").await;
    assert_eq!(status, 501);
    let broken = [("x-eventsource-event", "fanfare.gap")];
    let (status, body) = hub.answer(Method::POST, "/pub?id=a", &broken, "x").await;
    assert!(status == 400 && body.contains("reserved"), "{body}");
}

/// The exchange of Nchan's documentation: the same requests, and of the answers all but the numbers.
#[tokio::test]
async fn the_exchange_of_nchans_documentation() {
    let hub = Hub::new();
    let post = async |accept: &[(&str, &str)]| {
        let mut headers = vec![FORM];
        headers.extend(accept);
        hub.answer(Method::POST, "/pub?id=foo", &headers, "test message").await
    };
    let id = |number: u32| format!("{:08x}-{number}", hub.provider.log().epoch());
    let plain = |messages: u32, requested: i32, subscribers: u32| {
        format!(
            "queued messages: {messages}\r\nlast requested: {requested} sec. ago\r\n\
             active subscribers: {subscribers}\r\nlast message id: {}",
            id(messages)
        )
    };
    assert_eq!(post(&[]).await, (202, plain(1, -1, 0)));
    let json = ("accept", "text/json");
    let expected = format!(
        r#"{{"messages": 2, "requested": -1, "subscribers": 0, "last_message_id": "{}" }}"#,
        id(2)
    );
    assert_eq!(post(&[json]).await, (202, expected.clone()));
    assert_eq!(hub.answer(Method::GET, "/pub?id=foo", &[json], "").await, (200, expected));

    let stream = hub.response(Method::GET, "/sub?id=foo", &[EVENTS], "").await;
    assert_eq!(stream.status(), 200);
    assert_eq!(post(&[]).await, (201, plain(3, 0, 1)));
    let mut body = stream.into_body();
    let event = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(event, format!("id: {}\ndata: test message\n\n", id(3)));

    let typed = [("x-eventsource-event", "price")];
    assert_eq!(hub.answer(Method::PUT, "/pub/foo", &typed, "5").await.0, 201);
    let event = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(event, format!("id: {}\nevent: price\ndata: 5\n\n", id(4)));
}

#[test]
fn what_is_known_of_channels_has_a_bound() {
    let channels = Channels::default();
    let start = std::time::Instant::now();
    for number in 0..=limits::NCHAN_CHANNELS_MAX {
        channels.note(&[number.to_string()], start);
    }
    assert_eq!(channels.requested("0", start), None, "the oldest is forgotten");
    let later = start + Duration::from_secs(7);
    assert_eq!(channels.requested("1", later), Some(Duration::from_secs(7)));
    channels.note(&["1".to_owned()], later);
    assert_eq!(channels.requested("1", later), Some(Duration::ZERO));
}
