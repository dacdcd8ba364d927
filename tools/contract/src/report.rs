//! What a client received, on its way to the harness: numbered, one after the other.

use fanfare::sse::Event;
use serde::Serialize;
use tokio::sync::mpsc;

/// Reports that wait for the harness. Events wait for room; a comment that finds none is lost, which
/// the harness would see.
const WAITING_MAX: usize = 1024;

/// A report, in the harness's words.
#[derive(Serialize)]
pub(crate) struct Report {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Received>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

#[derive(Serialize)]
struct Received {
    #[serde(rename = "type")]
    event_type: String,
    data: String,
    id: String,
}

/// Where reports are given up. Clones share it.
#[derive(Clone)]
pub(crate) struct Reporter(mpsc::Sender<Report>);

impl Report {
    pub(crate) fn event(event: &Event) -> Self {
        let received = Received {
            event_type: event.event_type().to_owned(),
            data: event.data().to_owned(),
            id: event.last_event_id().to_owned(),
        };
        Self { kind: "event", event: Some(received), comment: None }
    }

    /// The text behind the colon, one space removed, as of a field.
    pub(crate) fn comment(text: &str) -> Self {
        let text = text.strip_prefix(' ').unwrap_or(text);
        Self { kind: "comment", event: None, comment: Some(text.to_owned()) }
    }

    pub(crate) fn error(text: String) -> Self {
        Self { kind: "error", event: None, comment: Some(text) }
    }
}

impl Reporter {
    /// Posts reports to `callback_url`/1, /2 and so on, until one of them is not taken.
    pub(crate) fn start(callback_url: String) -> Self {
        let (reports, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(post(callback_url, waiting));
        Self(reports)
    }

    /// Waits for room. False: nobody takes reports any more.
    pub(crate) async fn report(&self, report: Report) -> bool {
        self.0.send(report).await.is_ok()
    }

    /// For callbacks, which cannot wait.
    pub(crate) fn report_now(&self, report: Report) {
        let _ = self.0.try_send(report);
    }
}

async fn post(callback_url: String, mut waiting: mpsc::Receiver<Report>) {
    let http = reqwest::Client::new();
    let mut number = 0_u64;
    while let Some(report) = waiting.recv().await {
        number += 1;
        let body = serde_json::to_vec(&report).expect("strings always serialise");
        let request = http
            .post(format!("{callback_url}/{number}"))
            .header("Content-Type", "application/json")
            .body(body);
        let taken = request.send().await.and_then(reqwest::Response::error_for_status);
        if let Err(error) = taken {
            eprintln!("report {number} is not taken, so this client ends: {error}");
            return;
        }
    }
}
