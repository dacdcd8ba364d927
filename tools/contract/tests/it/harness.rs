//! The harness's part: a running service, and where it reports to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use axum::extract::{DefaultBodyLimit, Path};
use axum::http::StatusCode;
use axum::{Json, Router, routing::post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::scripted::{Reply, ScriptedServer};

/// How long anything may take that has to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The service, as a process of its own.
pub(crate) struct Service {
    process: Child,
    pub(crate) url: String,
    http: reqwest::Client,
    runtime: Runtime,
}

/// One client of the service.
pub(crate) struct TestClient<'s> {
    service: &'s Service,
    url: String,
    reports: Receiver<(u64, Value)>,
    /// Those that came before their turn.
    early: BTreeMap<u64, Value>,
    next: u64,
}

impl Service {
    pub(crate) fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_fanfare-contract"))
            .args(["--listen", "127.0.0.1:0"])
            .env("NO_PROXY", "*")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the service is built");
        let mut output = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("it says where it listens");
        let url = line.trim().strip_prefix("listening on ").expect("a URL").to_owned();
        let http = reqwest::Client::builder().no_proxy().build().expect("plain HTTP");
        Self { process, url, http, runtime: Runtime::new().expect("a runtime") }
    }

    /// Sends a request with a JSON body, if any, and gives status, location and body.
    pub(crate) fn ask(&self, method: &str, url: &str, body: &str) -> (u16, String, String) {
        self.runtime.block_on(async {
            let method = method.parse().expect("a method");
            let request = self.http.request(method, url).body(body.to_owned());
            let request = request.header("Content-Type", "application/json");
            let response = request.send().await.expect("the service answers");
            let status = response.status().as_u16();
            let location = response.headers().get("location");
            let location = location.map(|value| value.to_str().expect("ASCII").to_owned());
            let body = response.text().await.expect("it is text");
            (status, location.unwrap_or_default(), body)
        })
    }

    /// A client of `server`, with what else is wanted of it.
    pub(crate) fn client(&self, server: &ScriptedServer, wanted: Value) -> TestClient<'_> {
        let (callback_url, reports) = self.receive_reports();
        let mut body =
            json!({"streamUrl": server.url(), "callbackUrl": callback_url, "tag": "test"});
        let wanted = wanted.as_object().expect("an object").clone();
        body.as_object_mut().expect("an object").extend(wanted);
        let (status, location, text) = self.ask("POST", &self.url, &body.to_string());
        assert_eq!((status, &*text), (201, ""));
        let url = format!("{}{location}", self.url);
        TestClient { service: self, url, reports, early: BTreeMap::new(), next: 1 }
    }

    /// A client of a server that gives `stream` and stays.
    #[track_caller]
    pub(crate) fn reads(&self, stream: &str, expected: &[[&str; 3]]) {
        let server = ScriptedServer::once(Reply::stream(stream));
        let mut client = self.client(&server, json!({}));
        for expected in expected {
            client.expect_event(*expected);
        }
        client.end();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait().expect("it is ours") {
                return status;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the service did not end");
    }

    fn receive_reports(&self) -> (String, Receiver<(u64, Value)>) {
        let (note, reports) = channel();
        let take = move |Path(number): Path<u64>, Json(report): Json<Value>| {
            let taken = note.send((number, report)).is_ok();
            async move { if taken { StatusCode::ACCEPTED } else { StatusCode::GONE } }
        };
        let router = Router::new().route("/reports/{number}", post(take));
        let router = router.layer(DefaultBodyLimit::max(64 << 20));
        let listener = self.runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        self.runtime.spawn(async move { axum::serve(listener, router).await });
        (format!("http://{address}/reports"), reports)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl TestClient<'_> {
    /// The next report, in the order of their numbers.
    #[track_caller]
    pub(crate) fn report(&mut self) -> Value {
        while !self.early.contains_key(&self.next) {
            let (number, report) = self.reports.recv_timeout(PATIENCE).expect("another report");
            assert!(number >= self.next, "report {number} came twice");
            self.early.insert(number, report);
        }
        self.next += 1;
        self.early.remove(&(self.next - 1)).expect("it has come")
    }

    #[track_caller]
    pub(crate) fn expect_event(&mut self, [event_type, data, id]: [&str; 3]) {
        let event = json!({"type": event_type, "data": data, "id": id});
        assert_eq!(self.report(), json!({"kind": "event", "event": event}));
    }

    #[track_caller]
    pub(crate) fn expect_comment(&mut self, comment: &str) {
        assert_eq!(self.report(), json!({"kind": "comment", "comment": comment}));
    }

    /// Expects an error that ends the client, and gives its text.
    #[track_caller]
    pub(crate) fn expect_error(&mut self) -> String {
        let report = self.report();
        assert_eq!(report["kind"], "error", "{report}");
        report["comment"].as_str().expect("it says why").to_owned()
    }

    /// Nothing is reported for a while.
    #[track_caller]
    pub(crate) fn expect_silence(&mut self) {
        let more = self.reports.recv_timeout(Duration::from_millis(300));
        assert!(more.is_err() && self.early.is_empty(), "{more:?}");
    }

    pub(crate) fn command(&self, command: &str) -> u16 {
        let body = json!({ "command": command }).to_string();
        self.service.ask("POST", &self.url, &body).0
    }

    /// Ends the client; gives the status of that.
    pub(crate) fn end(&self) -> u16 {
        self.service.ask("DELETE", &self.url, "").0
    }
}

/// Waits until `ask` is true.
#[track_caller]
pub(crate) fn eventually(what: &str, ask: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !ask() {
        assert!(Instant::now() < deadline, "{what} did not come");
        thread::sleep(Duration::from_millis(5));
    }
}
