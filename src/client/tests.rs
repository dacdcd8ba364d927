//! Connections against small servers that answer one connection after the other, each as told.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::*;
use crate::sse::Dialect;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

/// No test waits this long unless it fails.
const LONG: Duration = Duration::from_secs(20);

/// What a server does with one connection once the request has come.
#[derive(Clone, Debug)]
enum Step {
    /// Sends this, and ends the connection.
    End(String),
    /// Sends this, and leaves the connection open.
    Keep(String),
    /// Sends this again and again until the client is gone.
    Endless(String),
}

fn end(body: &str) -> Step {
    Step::End(format!("{OK}{body}"))
}

fn keep(body: &str) -> Step {
    Step::Keep(format!("{OK}{body}"))
}

/// A server that takes the steps one after the other and repeats the last one.
struct Scripted {
    address: SocketAddr,
    requests: watch::Receiver<Vec<String>>,
    /// Connections whose client has gone.
    left: watch::Receiver<usize>,
}

impl Scripted {
    async fn start(steps: impl IntoIterator<Item = Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (request_sender, requests) = watch::channel(Vec::new());
        let (left_sender, left) = watch::channel(0);
        let (request_sender, left_sender) = (Arc::new(request_sender), Arc::new(left_sender));
        let mut steps: Vec<Step> = steps.into_iter().collect();
        steps.reverse();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let step = if steps.len() > 1 { steps.pop().unwrap() } else { steps[0].clone() };
                let (requests, left) = (Arc::clone(&request_sender), Arc::clone(&left_sender));
                tokio::spawn(async move {
                    serve(socket, step, &requests).await;
                    left.send_modify(|left| *left += 1);
                });
            }
        });
        Self { address, requests, left }
    }

    fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.borrow().clone()
    }

    async fn wait_for_requests(&self, count: usize) {
        self.requests.clone().wait_for(|requests| requests.len() >= count).await.unwrap();
    }

    async fn wait_for_left(&self, count: usize) {
        self.left.clone().wait_for(|left| *left >= count).await.unwrap();
    }
}

async fn serve(mut socket: TcpStream, step: Step, requests: &watch::Sender<Vec<String>>) {
    let request = read_request(&mut socket).await;
    if request.is_empty() {
        return;
    }
    requests.send_modify(|requests| requests.push(request));
    match step {
        Step::End(text) => {
            let _ = socket.write_all(text.as_bytes()).await;
        }
        Step::Keep(text) => {
            let _ = socket.write_all(text.as_bytes()).await;
            let _ = socket.read(&mut [0]).await;
        }
        Step::Endless(text) => {
            let _ = socket.write_all(OK.as_bytes()).await;
            while socket.write_all(text.as_bytes()).await.is_ok() {}
        }
    }
}

/// Head and body of the request, or what came of it.
async fn read_request(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && body.len() >= header(head, "content-length").map_or(0, |len| len.parse().unwrap())
        {
            return text.into_owned();
        }
        match socket.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return String::new(),
            Ok(_) => {}
        }
    }
}

fn header<'r>(request: &'r str, name: &str) -> Option<&'r str> {
    let mut lines = request.lines().take_while(|line| !line.is_empty());
    lines.find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn last_event_ids(server: &Scripted) -> Vec<Option<String>> {
    let requests = server.requests();
    requests.iter().map(|request| header(request, "last-event-id").map(str::to_owned)).collect()
}

/// Retries at once, so that no test waits.
fn at_once() -> ClientBuilder {
    let initial_interval = Duration::from_millis(1);
    Client::builder().backoff(Backoff {
        initial_interval,
        max_interval: Some(initial_interval),
        ..Backoff::default()
    })
}

fn get(builder: ClientBuilder, server: &Scripted) -> Connection {
    builder.build().unwrap().get(&server.url()).unwrap()
}

async fn next(connection: &mut Connection) -> Option<Result<String, ErrorKind>> {
    let item = tokio::time::timeout(LONG, connection.next()).await.expect("in time");
    item.map(|item| item.map(|event| event.data().to_owned()).map_err(|error| error.kind()))
}

fn data(text: &str) -> Option<Result<String, ErrorKind>> {
    Some(Ok(text.to_owned()))
}

type Seen<T> = Arc<Mutex<Vec<T>>>;

fn note_states(connection: &Connection) -> Seen<State> {
    let seen = Seen::default();
    let states = Arc::clone(&seen);
    connection.handle().on_state(move |state| states.lock().push(state));
    seen
}

/// The waits of each retry, and what it was for.
fn note_retries(builder: ClientBuilder) -> (ClientBuilder, Seen<(ErrorKind, Duration)>) {
    let seen = Seen::default();
    let retries = Arc::clone(&seen);
    let note = move |error: &ConnectionError, wait| retries.lock().push((error.kind(), wait));
    (builder.on_retry(note), seen)
}

#[tokio::test]
async fn reconnects_behind_the_last_event() {
    let first = "id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: never whole";
    let server = Scripted::start([end(first), end("data: c\n\n"), keep("id\ndata: d\n\n")]).await;
    let mut connection = get(at_once(), &server);
    let (handle, states) = (connection.handle(), note_states(&connection));

    for text in ["a", "b", "c"] {
        assert_eq!(next(&mut connection).await, data(text));
    }
    assert_eq!(handle.last_event_id(), "2");
    assert_eq!(next(&mut connection).await, data("d"));
    assert_eq!(handle.last_event_id(), "", "reset by the server");

    let two = Some("2".to_owned());
    assert_eq!(last_event_ids(&server), [None, two.clone(), two]);
    use State::{Connecting, Open, Reconnecting};
    assert_eq!(*states.lock(), [Connecting, Open, Reconnecting, Open, Reconnecting, Open]);
}

#[tokio::test]
async fn the_callers_request_is_sent_anew_each_time() {
    let server = Scripted::start([end(""), keep("data: x\n\n")]).await;
    let request = http::Request::post(server.url())
        .header("Last-Event-ID", "…")
        .header("Accept", "text/event-stream, */*")
        .header("Content-Type", "application/json")
        .body(Bytes::from_static(br#"{"hello":"world"}"#))
        .unwrap();
    let mut connection = at_once().build().unwrap().connect(request);
    assert_eq!(connection.handle().last_event_id(), "…");
    assert_eq!(next(&mut connection).await, data("x"));

    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert!(request.starts_with("POST /events HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with(r#"{"hello":"world"}"#), "{request}");
        assert_eq!(header(&request, "last-event-id"), Some("…"));
        assert_eq!(header(&request, "accept"), Some("text/event-stream, */*"));
        assert_eq!(header(&request, "cache-control"), Some("no-cache"));
        assert_eq!(header(&request, "content-type"), Some("application/json"));
    }
}

#[tokio::test]
async fn an_id_that_http_cannot_say_is_left_out() {
    let server = Scripted::start([end("id: a\x07b\ndata: x\n\n"), keep("data: y\n\n")]).await;
    let mut connection = get(at_once(), &server);
    assert_eq!(next(&mut connection).await, data("x"));
    assert_eq!(next(&mut connection).await, data("y"));
    assert_eq!(last_event_ids(&server), [None, None]);
    assert_eq!(connection.handle().last_event_id(), "a\x07b");
}

#[tokio::test]
async fn an_id_longer_than_a_server_takes_is_left_out() {
    let longest = "x".repeat(crate::limits::LAST_EVENT_ID_BYTES_MAX);
    let server = Scripted::start([
        end(&format!("id: {longest}\ndata: x\n\n")),
        end(&format!("id: {longest}x\ndata: y\n\n")),
        keep("data: z\n\n"),
    ])
    .await;
    let mut connection = get(at_once(), &server);
    for text in ["x", "y", "z"] {
        assert_eq!(next(&mut connection).await, data(text));
    }
    assert_eq!(last_event_ids(&server), [None, Some(longest), None]);
}

#[tokio::test]
async fn user_information_is_sent_as_credentials_and_not_shown() {
    let server = Scripted::start([Step::End("HTTP/1.1 403 Forbidden\r\n\r\n".into())]).await;
    let url = format!("http://user:secret@{}/events?a=b#part", server.address);
    let mut connection = Client::new().unwrap().get(&url).unwrap();
    let error = connection.next().await.unwrap().unwrap_err();
    let expected = format!(
        "GET http://{}/events?a=b: response status is 403 Forbidden, not 200",
        server.address
    );
    assert_eq!(error.to_string(), expected);
    assert!(!format!("{error:?} {connection:?}").contains("secret"));
    assert_eq!((error.kind(), error.status()), (ErrorKind::Status, Some(StatusCode::FORBIDDEN)));
    let requests = server.requests();
    assert_eq!(header(&requests[0], "authorization"), Some("Basic dXNlcjpzZWNyZXQ="));
}

#[tokio::test]
async fn a_permanent_failure_is_the_one_error_and_the_end() {
    let server = Scripted::start([Step::End("HTTP/1.1 204 No Content\r\n\r\n".into())]).await;
    let mut connection = get(at_once(), &server);
    let (handle, states) = (connection.handle(), note_states(&connection));
    assert_eq!(next(&mut connection).await, Some(Err(ErrorKind::Status)));
    assert_eq!(handle.state(), State::Closed);
    assert_eq!(next(&mut connection).await, None);
    assert_eq!(next(&mut connection).await, None);
    handle.reconnect();
    handle.close();
    assert_eq!(next(&mut connection).await, None);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(*states.lock(), [State::Connecting, State::Closed]);
}

#[tokio::test]
async fn a_request_without_an_absolute_url_cannot_be_sent() {
    for (uri, shown) in [
        ("/a@b", "/a@b"),
        ("host:80", "host:80"),
        ("user:secret@host:80", "host:80"),
        ("ftp://user:secret@host/a@b", "ftp://host/a@b"),
    ] {
        let request = http::Request::get(uri).body(Bytes::new()).unwrap();
        let mut connection = Client::new().unwrap().connect(request);
        let error = connection.next().await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.url()), (ErrorKind::Request, shown));
        assert_eq!(next(&mut connection).await, None);
    }
    let client = Client::new().unwrap();
    for url in ["", "/events", "host/events", "ftp://host/", "http://"] {
        assert!(client.get(url).is_err(), "{url}");
    }
}

#[tokio::test]
async fn a_server_that_accepts_and_closes_uses_up_the_retries() {
    let server = Scripted::start([end("")]).await;
    let backoff = Backoff {
        initial_interval: Duration::from_millis(1),
        max_retries: Some(3),
        jitter: Jitter::Off,
        multiplier: 2.0,
        ..Backoff::default()
    };
    let (builder, retries) = note_retries(Client::builder().backoff(backoff));
    let mut connection = get(builder, &server);
    assert_eq!(next(&mut connection).await, Some(Err(ErrorKind::Ended)));
    assert_eq!(next(&mut connection).await, None);
    assert_eq!(server.requests().len(), 4);
    let ended = |ms| (ErrorKind::Ended, Duration::from_millis(ms));
    assert_eq!(*retries.lock(), [1, 2, 4].map(ended));
}

#[tokio::test]
async fn an_event_gives_back_the_retries() {
    let server = Scripted::start([end(""), end("data: x\n\n"), end("")]).await;
    let backoff = Backoff {
        initial_interval: Duration::from_millis(1),
        max_retries: Some(1),
        ..Backoff::default()
    };
    let mut connection = get(Client::builder().backoff(backoff), &server);
    assert_eq!(next(&mut connection).await, data("x"));
    assert_eq!(next(&mut connection).await, Some(Err(ErrorKind::Ended)));
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_servers_retry_is_remembered_until_it_changes() {
    let steps = [end("retry: 3\ndata: x\n\n"), end("data: x\n\n"), end("retry: 5\ndata: x\n\n")];
    let server = Scripted::start(steps.into_iter().chain([keep("data: end\n\n")])).await;
    let backoff = Backoff { jitter: Jitter::Off, ..Backoff::default() };
    let (builder, retries) = note_retries(Client::builder().backoff(backoff));
    let mut connection = get(builder, &server);
    while next(&mut connection).await != data("end") {}
    let ended = |ms| (ErrorKind::Ended, Duration::from_millis(ms));
    assert_eq!(*retries.lock(), [3, 3, 5].map(ended));
}

#[tokio::test]
async fn a_retryable_status_waits_as_long_as_the_server_asks() {
    let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
    let server = Scripted::start([Step::End(busy.into()), keep("data: x\n\n")]).await;
    let (builder, retries) = note_retries(at_once());
    let builder = builder.retry_statuses([StatusCode::SERVICE_UNAVAILABLE]);
    let mut connection = get(builder, &server);
    assert_eq!(next(&mut connection).await, data("x"));
    assert_eq!(*retries.lock(), [(ErrorKind::Status, Duration::from_secs(1))]);
}

#[tokio::test]
async fn a_validator_replaces_the_check() {
    let plain = "HTTP/1.1 201 Created\r\nX-Stream: yes\r\n\r\ndata: x\n\n";
    let server = Scripted::start([Step::Keep(plain.into())]).await;
    let accepting = Client::builder().validator(|head| {
        assert!(head.url().ends_with("/events") && !head.is_event_stream());
        match (head.status().as_u16(), head.headers().get("x-stream")) {
            (201, Some(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    assert_eq!(next(&mut get(accepting, &server)).await, data("x"));

    let refusing = Client::builder().validator(|_| Err("not today".into()));
    let error = get(refusing, &server).next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(error.to_string().ends_with("the response was refused: not today"), "{error}");
}

#[tokio::test]
async fn a_redirect_takes_credentials_to_no_other_origin_however_many_follow() {
    let other = Scripted::start([
        Step::End("HTTP/1.1 307 Again\r\nLocation: /third\r\nContent-Length: 0\r\n\r\n".into()),
        keep("data: x\n\n"),
    ])
    .await;
    let location = format!("http://eve:pw@{}/second", other.address);
    let away = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    let server = Scripted::start([Step::End(away)]).await;
    let request = http::Request::get(server.url())
        .header("Authorization", "Bearer secret")
        .header("Cookie", "secret")
        .header("Host", "first.example")
        .header("X-Own", "kept")
        .header("Last-Event-ID", "7")
        .body(Bytes::new())
        .unwrap();
    let mut connection = at_once().build().unwrap().connect(request);
    assert_eq!(next(&mut connection).await, data("x"));

    let first = server.requests();
    assert_eq!(header(&first[0], "authorization"), Some("Bearer secret"));
    let requests = other.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        for name in ["authorization", "cookie"] {
            assert_eq!(header(&request, name), None, "{name} in {request}");
        }
        assert_eq!(header(&request, "host"), Some(&*other.address.to_string()));
        assert_eq!(header(&request, "x-own"), Some("kept"));
        assert_eq!(header(&request, "last-event-id"), Some("7"));
    }
}

#[tokio::test]
async fn a_redirect_changes_the_method_as_browsers_do() {
    for (status, method) in [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")]
    {
        let away =
            format!("HTTP/1.1 {status} Away\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n");
        let server = Scripted::start([Step::End(away), keep("data: x\n\n")]).await;
        let request = http::Request::post(server.url())
            .header("Content-Type", "text/plain")
            .body(Bytes::from_static(b"hello"))
            .unwrap();
        let mut connection = at_once().build().unwrap().connect(request);
        assert_eq!(next(&mut connection).await, data("x"), "{status}");
        let request = &server.requests()[1];
        assert!(request.starts_with(&format!("{method} /other ")), "{status}: {request}");
        assert_eq!(request.ends_with("hello"), method == "POST", "{status}");
        assert_eq!(header(request, "content-type").is_some(), method == "POST", "{status}");
    }
}

#[tokio::test]
async fn a_redirect_that_leads_nowhere_is_permanent() {
    for (location, requests) in [
        ("", 1),
        ("Location:\r\n", 1),
        ("Location: http://[\r\n", 1),
        ("Location: ftp://host/\r\n", 1),
        ("Location: /events\r\n", 11),
    ] {
        let away = format!("HTTP/1.1 302 Found\r\n{location}Content-Length: 0\r\n\r\n");
        let server = Scripted::start([Step::End(away)]).await;
        let mut connection = get(at_once(), &server);
        assert_eq!(next(&mut connection).await, Some(Err(ErrorKind::Redirect)), "{location:?}");
        assert_eq!(server.requests().len(), requests, "{location:?}");
    }
    let server = Scripted::start([Step::End("HTTP/1.1 304 Same\r\n\r\n".into())]).await;
    assert_eq!(next(&mut get(at_once(), &server)).await, Some(Err(ErrorKind::Redirect)));
}

#[tokio::test]
async fn a_head_that_is_not_http_is_permanent() {
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(1024 * 1024));
    for text in ["SSH-2.0-OpenSSH_9.9\r\n", "HTTP/1.1 2000 OK\r\n\r\n", &endless] {
        let server = Scripted::start([Step::Keep(text.into())]).await;
        let mut connection = get(at_once(), &server);
        let kind = next(&mut connection).await;
        assert_eq!(kind, Some(Err(ErrorKind::ResponseHead)), "{}", &text[..20]);
    }
}

#[tokio::test]
async fn what_prevents_a_response_is_told_apart() {
    let never = || Client::builder().backoff(Backoff::never());

    let silent = Scripted::start([Step::Keep("HTTP/1.1 200 OK\r\n".into())]).await;
    let mut connection = get(never().response_timeout(Duration::from_millis(20)), &silent);
    let error = connection.next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.is_permanent()), (ErrorKind::ResponseTimeout, false));
    assert!(error.to_string().ends_with("no complete response head within 20ms"), "{error}");

    let hasty = Scripted::start([Step::End("HTTP/1.1 200 OK\r\n".into())]).await;
    assert_eq!(next(&mut get(never(), &hasty)).await, Some(Err(ErrorKind::Connect)));

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let mut connection = never().build().unwrap().get(&url).unwrap();
    let error = connection.next().await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), format!("GET {url}: cannot connect"));
    let mut causes = std::iter::successors(std::error::Error::source(&error), |e| e.source());
    assert!(causes.any(|cause| cause.to_string().contains("refused")), "{error:?}");
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_read_on_elsewhere() {
    let chunked = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
        Transfer-Encoding: chunked\r\n\r\n9\r\ndata: x\n\n\r\n5\r\ndat";
    let server = Scripted::start([Step::End(chunked.into()), keep("data: y\n\n")]).await;
    let (builder, retries) = note_retries(at_once());
    let mut connection = get(builder, &server);
    assert_eq!(next(&mut connection).await, data("x"));
    assert_eq!(next(&mut connection).await, data("y"));
    assert_eq!(retries.lock()[0].0, ErrorKind::Read);
}

#[tokio::test]
async fn events_before_a_fault_are_delivered() {
    let server = Scripted::start([keep("data: a\n\ndata: b\n\ndata: far too long\n\n")]).await;
    let builder = Client::builder().backoff(Backoff::never()).event_bytes_max(10);
    let mut connection = get(builder, &server);
    assert_eq!(next(&mut connection).await, data("a"));
    assert_eq!(next(&mut connection).await, data("b"));
    assert_eq!(next(&mut connection).await, Some(Err(ErrorKind::Parse)));
    assert_eq!(next(&mut connection).await, None);
}

#[tokio::test]
async fn a_silent_stream_is_given_up() {
    let server = Scripted::start([keep("data: x\n\n"), keep("data: y\n\n")]).await;
    let (builder, retries) = note_retries(at_once());
    let mut connection = get(builder.read_idle_timeout(Duration::from_millis(50)), &server);
    assert_eq!(next(&mut connection).await, data("x"));
    // Time that is not spent on waiting for the server does not count.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(retries.lock().is_empty());
    assert_eq!(next(&mut connection).await, data("y"));
    assert_eq!(retries.lock()[0].0, ErrorKind::ReadIdle);
    server.wait_for_left(1).await;
}

#[tokio::test]
async fn comments_and_blank_lines_keep_a_stream_alive() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let limit = Duration::from_millis(400);
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_request(&mut socket).await;
        socket.write_all(OK.as_bytes()).await.unwrap();
        for text in [":", "\n", "\n", ": x\n", "\r", ":", "\n", "\n", "\n", "data: done\n\n"] {
            tokio::time::sleep(limit / 5).await;
            socket.write_all(text.as_bytes()).await.unwrap();
        }
        std::future::pending::<()>().await;
    });
    let builder = Client::builder().backoff(Backoff::never()).read_idle_timeout(limit);
    let mut connection = builder.build().unwrap().get(&url).unwrap();
    assert_eq!(next(&mut connection).await, data("done"));
}

#[tokio::test]
async fn limits_without_an_end_are_allowed() {
    let server = Scripted::start([keep("data: x\n\n")]).await;
    let builder = Client::builder().response_timeout(Duration::MAX);
    let mut connection = get(builder.read_idle_timeout(Duration::MAX), &server);
    assert_eq!(next(&mut connection).await, data("x"));
    let more = tokio::time::timeout(Duration::from_millis(20), connection.next()).await;
    assert!(more.is_err(), "nothing comes, and nothing fails");
}

#[tokio::test]
async fn closing_ends_a_wait_a_request_and_a_stream_at_once() {
    let long = Backoff { initial_interval: LONG * 10, jitter: Jitter::Off, ..Backoff::default() };
    let waiting = Backoff { max_interval: None, ..long };
    let busy = Scripted::start([end("")]).await;
    let silent = Scripted::start([Step::Keep(String::new())]).await;
    let open = Scripted::start([keep("")]).await;
    for (server, reached) in
        [(&busy, State::Reconnecting), (&silent, State::Connecting), (&open, State::Open)]
    {
        let connection = get(Client::builder().backoff(waiting), server);
        let (handle, states) = (connection.handle(), note_states(&connection));
        let run = tokio::spawn(connection.run());
        server.wait_for_requests(1).await;
        tokio::time::timeout(LONG, async {
            while handle.state() != reached {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .expect("in time");
        let closer = handle.clone();
        std::thread::spawn(move || closer.close()).join().unwrap();
        assert_eq!(handle.state(), State::Closed);
        let ended = tokio::time::timeout(LONG, run).await.expect("in time").unwrap();
        assert!(ended.is_ok(), "{reached:?}");
        assert_eq!(states.lock().last(), Some(&State::Closed), "{reached:?}");
        server.wait_for_left(1).await;
        assert_eq!(server.requests().len(), 1, "{reached:?}");
    }
}

#[tokio::test]
async fn a_connection_closed_before_it_was_polled_sends_nothing() {
    let server = Scripted::start([keep("data: x\n\n")]).await;
    let mut connection = get(at_once(), &server);
    connection.handle().reconnect();
    connection.handle().close();
    assert_eq!(next(&mut connection).await, None);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn nothing_is_called_or_delivered_after_a_callback_has_closed() {
    let server = Scripted::start([keep(": a\ndata: x\n\n: b\ndata: y\n\n")]).await;
    let mut connection = get(at_once(), &server);
    let (handle, seen) = (connection.handle(), Seen::default());
    let (note, closer) = (Arc::clone(&seen), connection.handle());
    handle.on_message(move |event| {
        note.lock().push(event.data().to_owned());
        closer.close();
    });
    let note = Arc::clone(&seen);
    handle.on_any(move |event| note.lock().push(format!("late {}", event.data())));
    let note = Arc::clone(&seen);
    handle.on_comment(move |text| note.lock().push(text.to_owned()));
    assert_eq!(next(&mut connection).await, None);
    assert_eq!(*seen.lock(), [" a", "x"]);
    server.wait_for_left(1).await;
}

#[tokio::test]
async fn a_failure_after_closing_is_silent() {
    let server = Scripted::start([end("")]).await;
    let closer: Arc<Mutex<Option<ConnectionHandle>>> = Arc::default();
    let handle = Arc::clone(&closer);
    let builder = at_once().on_retry(move |_, _| handle.lock().as_ref().unwrap().close());
    let mut connection = get(builder, &server);
    let states = note_states(&connection);
    *closer.lock() = Some(connection.handle());
    assert_eq!(next(&mut connection).await, None);
    assert_eq!(*states.lock(), [State::Connecting, State::Open, State::Closed]);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn reconnecting_drops_what_is_open_and_asks_at_once() {
    let steps = [keep("id: 1\ndata: x\n\ndata: dropped\n\n"), keep("data: y\n\n")];
    let server = Scripted::start(steps).await;
    let (builder, retries) = note_retries(Client::builder());
    let mut connection = get(builder, &server);
    let (handle, states) = (connection.handle(), note_states(&connection));
    let again = connection.handle();
    let once = handle.on_message(move |_| again.reconnect());
    assert_eq!(next(&mut connection).await, data("x"), "the event itself is delivered");
    once.remove();
    assert_eq!(next(&mut connection).await, data("y"));
    server.wait_for_left(1).await;
    assert_eq!(last_event_ids(&server), [None, Some("1".to_owned())]);
    assert!(retries.lock().is_empty());
    use State::{Connecting, Open, Reconnecting};
    assert_eq!(*states.lock(), [Connecting, Open, Reconnecting, Open]);
}

#[tokio::test]
async fn reconnecting_cuts_a_wait_short() {
    let server = Scripted::start([end(""), keep("data: x\n\n")]).await;
    let initial_interval = LONG * 10;
    let backoff = Backoff { initial_interval, max_interval: None, ..Backoff::default() };
    let handle: Arc<Mutex<Option<ConnectionHandle>>> = Arc::default();
    let again = Arc::clone(&handle);
    let builder = Client::builder().backoff(Backoff { jitter: Jitter::Off, ..backoff }).on_retry(
        move |_, _| {
            let handle = again.lock().clone().unwrap();
            std::thread::spawn(move || {
                while handle.state() != State::Reconnecting {
                    std::thread::yield_now();
                }
                handle.reconnect();
            });
        },
    );
    let mut connection = get(builder, &server);
    *handle.lock() = Some(connection.handle());
    assert_eq!(next(&mut connection).await, data("x"));
}

#[tokio::test]
async fn every_method_of_the_handle_works_inside_a_callback() {
    let server = Scripted::start([keep(": c\nid: 7\ndata: x\n\ndata: y\n\n")]).await;
    let connection = get(at_once(), &server);
    let (handle, seen) = (connection.handle(), Seen::default());
    let note = Arc::clone(&seen);
    let own = handle.clone();
    handle.on_state(move |state| {
        let note = Arc::clone(&note);
        note.lock().push(format!("{state:?} {:?}", own.state()));
        own.on_comment(move |text| note.lock().push(text.to_owned()));
    });
    let (note, own) = (Arc::clone(&seen), handle.clone());
    let mut count = 0;
    handle.on_message(move |event| {
        count += 1;
        note.lock().push(format!("{count} {} {:?}", own.last_event_id(), own.state()));
        own.on_any(|_| {}).remove();
        own.on_event("message", |_| {});
        // From another thread, which this one waits for.
        let (other, data) = (own.clone(), event.data().to_owned());
        let work = move || {
            other.on_message(|_| {}).remove();
            if data == "y" {
                other.close();
            }
        };
        std::thread::spawn(work).join().unwrap();
    });
    tokio::time::timeout(LONG, connection.run()).await.expect("no deadlock").unwrap();
    let expected =
        ["Connecting Connecting", "Open Open", " c", " c", "1 7 Open", "2 7 Open", "Closed Closed"];
    assert_eq!(*seen.lock(), expected);
}

#[tokio::test]
async fn a_dropped_connection_is_gone_at_once_and_its_callbacks_too() {
    let server = Scripted::start([keep("data: x\n\n")]).await;
    let mut connection = get(at_once(), &server);
    let (handle, held) = (connection.handle(), Arc::new(()));
    let (own, holds) = (handle.clone(), Arc::clone(&held));
    handle.on_any(move |_| _ = (&own, &holds));
    assert_eq!(next(&mut connection).await, data("x"));
    drop(connection);
    assert_eq!(handle.state(), State::Closed);
    assert_eq!(Arc::strong_count(&held), 1);
    server.wait_for_left(1).await;
}

#[tokio::test]
async fn a_dropped_future_loses_nothing() {
    let server = Scripted::start([keep("data: x\n\n")]).await;
    let mut connection = get(at_once(), &server);
    let mut event = None;
    while event.is_none() {
        tokio::select! {
            biased;
            () = tokio::task::yield_now() => {}
            item = connection.next() => event = item,
        }
    }
    assert_eq!(event.unwrap().unwrap().data(), "x");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn an_endless_stream_lets_other_tasks_run() {
    for text in [": comment\n".repeat(4096), "data: x\n\n".repeat(4096)] {
        let server = Scripted::start([Step::Endless(text)]).await;
        let connection = get(at_once(), &server);
        let handle = connection.handle();
        handle.on_comment(|_| {});
        // On the same thread, as everything here: it can close only if it gets a turn.
        tokio::spawn(async move {
            while handle.state() != State::Open {
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            handle.close();
        });
        tokio::time::timeout(LONG, connection.run()).await.expect("a turn").unwrap();
    }
}

#[tokio::test]
async fn an_unnamed_type_is_empty_in_the_other_dialect() {
    let body = "data: x\n\nevent: message\ndata: y\n\nevent: z\ndata: last\n";
    let server = Scripted::start([end(body)]).await;
    let builder = Client::builder().backoff(Backoff::never()).dialect(Dialect::GoSse);
    let mut connection = get(builder, &server);
    let seen = Seen::default();
    for (name, event_type) in [("unnamed", None), ("named", Some("message"))] {
        let note = Arc::clone(&seen);
        let call = move |event: &crate::Event| note.lock().push(format!("{name} {}", event.data()));
        match event_type {
            None => connection.handle().on_message(call),
            Some(event_type) => connection.handle().on_event(event_type, call),
        };
    }
    for text in ["x", "y", "last"] {
        assert_eq!(next(&mut connection).await, data(text));
    }
    assert_eq!(next(&mut connection).await, Some(Err(ErrorKind::Ended)));
    assert_eq!(*seen.lock(), ["unnamed x", "named y"]);
}

#[tokio::test]
async fn an_http_client_of_the_callers_is_used_as_it_is() {
    let away = "HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n";
    let server = Scripted::start([Step::End(away.into())]).await;
    let policy = reqwest::redirect::Policy::none();
    let agent = reqwest::Client::builder().redirect(policy).user_agent("own/1").build().unwrap();
    let mut connection = get(at_once().http_client(agent), &server);
    assert_eq!(next(&mut connection).await, Some(Err(ErrorKind::Redirect)));
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(header(&requests[0], "user-agent"), Some("own/1"));
}

#[test]
fn a_backoff_that_makes_no_sense_is_refused() {
    let backoff = Backoff { multiplier: 0.5, ..Backoff::default() };
    let fault = Client::builder().backoff(backoff).build().unwrap_err();
    assert_eq!(fault.to_string(), "backoff: multiplier must be a number of at least 1");
}

#[test]
fn connections_and_handles_can_go_anywhere() {
    fn is_send<T: Send + Unpin>() {}
    fn is_sync<T: Clone + Send + Sync>() {}
    is_send::<Connection>();
    is_sync::<Client>();
    is_sync::<ConnectionHandle>();
    is_sync::<Listener>();
}
