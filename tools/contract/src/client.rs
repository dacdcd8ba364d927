//! One client: what the harness wants of it, and its life.

use std::{collections::HashMap, error::Error, time::Duration};

use bytes::Bytes;
use fanfare::{
    Client, Connection,
    client::{Backoff, ConnectionHandle, Jitter},
};
use http::Request;
use serde::Deserialize;
use tokio::task::AbortHandle;

use crate::report::{Report, Reporter};

/// What the harness wants, in its words. What else it says is none of our business.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Wanted {
    stream_url: String,
    callback_url: String,
    initial_delay_ms: Option<u64>,
    read_timeout_ms: Option<u64>,
    last_event_id: Option<String>,
    #[serde(default)]
    headers: HashMap<String, String>,
    method: Option<String>,
    body: Option<String>,
}

/// A client that runs; dropping it ends it, and closes its connection.
pub(crate) struct Running {
    handle: ConnectionHandle,
    task: AbortHandle,
}

impl Running {
    /// Starts a client; the reason why not names what is wrong with the wish.
    pub(crate) fn start(wanted: Wanted) -> Result<Self, String> {
        let connection = wanted.connection().map_err(|error| with_causes(&*error))?;
        let handle = connection.handle();
        let reporter = Reporter::start(wanted.callback_url);
        let comments = reporter.clone();
        handle.on_comment(move |comment| comments.report_now(Report::comment(comment)));
        let task = tokio::spawn(follow(connection, reporter)).abort_handle();
        Ok(Self { handle, task })
    }

    /// Drops the connection, and asks anew with what has been seen.
    pub(crate) fn restart(&self) {
        self.handle.reconnect();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wanted {
    fn connection(&self) -> Result<Connection, Box<dyn Error>> {
        // The tests measure the delay, so nothing is left to chance.
        let mut backoff = Backoff { jitter: Jitter::Off, ..Backoff::default() };
        if let Some(millis) = self.initial_delay_ms {
            backoff.initial_interval = Duration::from_millis(millis);
        }
        let mut client = Client::builder().backoff(backoff);
        if let Some(millis) = self.read_timeout_ms {
            client = client.read_idle_timeout(Duration::from_millis(millis));
        }
        let client = client.build()?;
        // Says what is wrong with a URL that cannot be asked for.
        client.get(&self.stream_url)?;
        Ok(client.connect(self.request()?))
    }

    fn request(&self) -> http::Result<Request<Bytes>> {
        let method = self.method.as_deref().unwrap_or("GET");
        let mut request = Request::builder().method(method).uri(&self.stream_url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(id) = &self.last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        request.body(Bytes::from(self.body.clone().unwrap_or_default()))
    }
}

/// Reports what comes, for as long as anybody takes the reports.
async fn follow(mut connection: Connection, reporter: Reporter) {
    while let Some(event) = connection.next().await {
        let report = match &event {
            Ok(event) => Report::event(event),
            Err(error) => Report::error(with_causes(error)),
        };
        if !reporter.report(report).await {
            return;
        }
    }
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
