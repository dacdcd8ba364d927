//! Our server read by clients of others: `httpx-sse` in Python, and the crate `eventsource-client`.
//!
//! Browsers and npm's `eventsource` are in `browser`.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use eventsource_client::{Client, ClientBuilder, ReconnectOptions, SSE};
use futures_util::StreamExt;
use launchdarkly_sdk_transport::HyperTransport;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::harness::{Driver, PATIENCE, Publisher, Server, skip};

both_drivers!(
    httpx_sse_reads_and_resumes,
    eventsource_client_reads_and_resumes,
    eventsource_client_comes_back_to_a_restarted_server,
);

const TOPIC: &str = "foreign";

/// Type, data and id, as the reader gives them.
pub(crate) type Row = [String; 3];

/// A client of somebody else's that reads a stream.
pub(crate) struct Reader {
    rows: Receiver<Row>,
    _running: Running,
}

enum Running {
    Process(Child),
    Tasks { _runtime: Runtime },
}

impl Reader {
    #[track_caller]
    pub(crate) fn next(&self) -> Row {
        self.rows.recv_timeout(PATIENCE).expect("there is another event")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Self::Process(child) = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn httpx_sse_reads_and_resumes(driver: Driver) {
    if !python().exists() {
        return skip("httpx-sse is not installed (tests/readers/setup.sh installs it)");
    }
    reads_and_resumes(driver, httpx_sse);
}

fn eventsource_client_reads_and_resumes(driver: Driver) {
    reads_and_resumes(driver, eventsource_client);
}

fn reads_and_resumes(driver: Driver, open: fn(SocketAddr, &str) -> Reader) {
    let server = Server::start(driver);
    let mut publisher = Publisher::open(&server);
    let reader = open(server.address(), "");
    server.await_subscribers(TOPIC, 1);
    let mut last_seen = String::new();
    for (event_type, data) in [
        ("message", "one"),
        ("price", "two\nlines"),
        ("message", "ünïcödé 🎺 and a final line end\n"),
        ("message", "  spaces: and colons "),
        ("price", ""),
    ] {
        let published = publish(&mut publisher, event_type, data);
        assert_eq!(reader.next(), published);
        last_seen.clone_from(&published[2]);
    }
    drop(reader);
    server.await_subscribers(TOPIC, 0);
    let missed: Vec<_> =
        (0..50).map(|number| publish(&mut publisher, "message", &number.to_string())).collect();
    let reader = open(server.address(), &last_seen);
    for expected in missed {
        assert_eq!(reader.next(), expected);
    }
    server.await_subscribers(TOPIC, 1);
    let live = publish(&mut publisher, "price", "live");
    assert_eq!(reader.next(), live);
}

fn eventsource_client_comes_back_to_a_restarted_server(driver: Driver) {
    let mut server = Server::start(driver);
    let reader = eventsource_client(server.address(), "");
    server.await_subscribers(TOPIC, 1);
    let first = publish(&mut Publisher::open(&server), "message", "of the first life");
    assert_eq!(reader.next(), first);
    server.restart();
    server.await_subscribers(TOPIC, 1);
    let [event_type, data, _] = reader.next();
    assert_eq!(event_type, "fanfare.gap");
    assert!(data.contains("\"reason\":\"epoch\"") && data.contains(&first[2]), "{data}");
    let second = publish(&mut Publisher::open(&server), "message", "of the second life");
    assert_eq!(reader.next(), second);
}

/// Publishes, and gives the row that a reader must make of it.
fn publish(publisher: &mut Publisher, event_type: &str, data: &str) -> Row {
    let mut message = json!({"topics": [TOPIC], "data": data});
    if event_type != "message" {
        message["event"] = event_type.into();
    }
    let id = publisher.json(&message).id;
    [event_type.to_owned(), data.to_owned(), id]
}

fn url(server: SocketAddr) -> String {
    format!("http://{server}/events?topic={TOPIC}")
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers")
}

pub(crate) fn python() -> PathBuf {
    folder().join(".venv/bin/python")
}

fn httpx_sse(server: SocketAddr, last_event_id: &str) -> Reader {
    httpx_sse_from(&url(server), last_event_id)
}

pub(crate) fn httpx_sse_from(url: &str, last_event_id: &str) -> Reader {
    let mut child = Command::new(python())
        .arg(folder().join("httpx_sse_reader.py"))
        .args([url, last_event_id])
        .stdout(Stdio::piped())
        .spawn()
        .expect("python is installed");
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    let (note, rows) = channel();
    thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            let row = serde_json::from_str(&line).expect("a JSON line per event");
            if note.send(row).is_err() {
                return;
            }
        }
    });
    Reader { rows, _running: Running::Process(child) }
}

fn eventsource_client(server: SocketAddr, last_event_id: &str) -> Reader {
    let transport = HyperTransport::builder().build_http().expect("plain HTTP needs nothing");
    let often = Duration::from_millis(100);
    let reconnect = ReconnectOptions::reconnect(true).retry_initial(true).delay(often);
    let mut builder = ClientBuilder::for_url(&url(server))
        .expect("it is a URL")
        .reconnect(reconnect.delay_max(often).build());
    if !last_event_id.is_empty() {
        builder = builder.last_event_id(last_event_id.to_owned());
    }
    let client = builder.build_with_transport(transport);
    let (note, rows) = channel();
    let runtime = Runtime::new().expect("a runtime");
    runtime.spawn(async move { forward(&client, &note).await });
    Reader { rows, _running: Running::Tasks { _runtime: runtime } }
}

async fn forward(client: &impl Client, rows: &Sender<Row>) {
    let mut events = client.stream();
    while let Some(event) = events.next().await {
        // What goes wrong in between it mends by itself.
        let Ok(SSE::Event(event)) = event else { continue };
        let row = [event.event_type, event.data, event.id.unwrap_or_default()];
        if rows.send(row).is_err() {
            return;
        }
    }
}
