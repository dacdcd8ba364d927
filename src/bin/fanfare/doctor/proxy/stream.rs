//! One stream that is watched: what arrives, and when. A task reads it with the library's client.

use std::{future::Future, pin::pin, time::Duration};

use bytes::Bytes;
use fanfare::{
    Client, Connection,
    client::{Backoff, BuildError},
    sse::Event,
};
use http::{HeaderMap, Request};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{self, Instant},
};

use super::{
    super::{
        super::{header::Header, with_causes},
        finding::{Finding, Level},
    },
    Targets,
};

/// What is waiting to be looked at; a server that sends more loses it, and nothing else.
const ARRIVALS_MAX: usize = 4096;

/// Most bytes of an event: more than any that is published here.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// A stream, closed when dropped.
pub(super) struct Stream {
    arrivals: mpsc::Receiver<(Instant, Arrival)>,
    head: Option<HeaderMap>,
    /// Why it ended, if it has.
    ended: Option<String>,
    reading: JoinHandle<()>,
}

/// What may arrive.
#[derive(Debug)]
pub(super) enum Arrival {
    Head(HeaderMap),
    Event(Event),
    Comment,
    Ended(String),
}

impl Stream {
    /// Asks for the stream; what comes of it is told by the other functions.
    pub(super) fn open(
        targets: &Targets,
        headers: &[Header],
        last_event_id: Option<&str>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let mut request = Request::get(targets.events.as_str());
        for Header { name, value } in headers {
            request = request.header(name, value);
        }
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        let (note, arrivals) = mpsc::channel(ARRIVALS_MAX);
        let connection = client(note.clone())?.connect(request.body(Bytes::new())?);
        let comments = note.clone();
        connection.handle().on_comment(move |_| tell(&comments, Arrival::Comment));
        let reading = tokio::spawn(read(connection, note));
        Ok(Self { arrivals, head: None, ended: None, reading })
    }

    /// The head of the answer, or none if it does not come in that time.
    ///
    /// # Errors
    /// Why there is no stream.
    pub(super) async fn head(&mut self, patience: Duration) -> Result<Option<HeaderMap>, String> {
        if self.head.is_none() && self.ended.is_none() {
            // Nothing comes before the head.
            let _ = self.next(patience).await;
        }
        match (&self.head, &self.ended) {
            (None, Some(fault)) => Err(fault.clone()),
            (head, _) => Ok(head.clone()),
        }
    }

    /// When the event with these data arrived, and its id; none if not in that time.
    pub(super) async fn event(
        &mut self,
        data: &str,
        patience: Duration,
    ) -> Option<(Instant, Event)> {
        let wanted = async {
            loop {
                match self.arrivals.recv().await? {
                    (at, Arrival::Event(event)) if event.data() == data => {
                        return Some((at, event));
                    }
                    (_, other) => note(&mut self.head, &mut self.ended, other),
                }
            }
        };
        within(patience, wanted).await.flatten()
    }

    /// What arrives next, in that time.
    pub(super) async fn next(&mut self, patience: Duration) -> Option<Arrived> {
        let (_, arrival) = within(patience, self.arrivals.recv()).await??;
        let arrived = match &arrival {
            Arrival::Head(_) => Arrived::Head,
            Arrival::Event(_) => Arrived::Event,
            Arrival::Comment => Arrived::Comment,
            Arrival::Ended(_) => Arrived::End,
        };
        note(&mut self.head, &mut self.ended, arrival);
        Some(arrived)
    }

    /// Why the stream has ended, if it has.
    pub(super) fn end(&self) -> Option<&str> {
        self.ended.as_deref()
    }
}

/// What arrived, without what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    Head,
    Event,
    Comment,
    End,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// There is no stream.
pub(super) fn refused(fault: &str) -> Finding {
    Finding::new("subscribe", Level::Problem, fault, "clients get no stream here")
}

fn note(head: &mut Option<HeaderMap>, ended: &mut Option<String>, arrival: Arrival) {
    match arrival {
        Arrival::Head(headers) => *head = Some(headers),
        Arrival::Ended(fault) => *ended = Some(fault),
        Arrival::Event(_) | Arrival::Comment => {}
    }
}

/// What comes of `future` in that time; what is there already is taken in no time.
async fn within<T>(patience: Duration, future: impl Future<Output = T>) -> Option<T> {
    time::timeout(patience, pin!(future)).await.ok()
}

/// One that never tries again, so that an end is seen, and says what head it got.
fn client(note: mpsc::Sender<(Instant, Arrival)>) -> Result<Client, BuildError> {
    Client::builder()
        .backoff(Backoff { max_retries: Some(0), ..Backoff::default() })
        .event_bytes_max(EVENT_BYTES_MAX)
        .validator(move |head| {
            if !head.status().is_success() {
                return Err(format!("its status is {}", head.status()));
            }
            if !head.is_event_stream() {
                return Err("it is no text/event-stream".to_owned());
            }
            tell(&note, Arrival::Head(head.headers().clone()));
            Ok(())
        })
        .build()
}

async fn read(mut connection: Connection, note: mpsc::Sender<(Instant, Arrival)>) {
    while let Some(event) = connection.next().await {
        let arrival = match event {
            Ok(event) => Arrival::Event(event),
            Err(fault) => Arrival::Ended(with_causes(&fault)),
        };
        tell(&note, arrival);
    }
}

fn tell(note: &mpsc::Sender<(Instant, Arrival)>, arrival: Arrival) {
    // Without room, or a reader, it is of no interest.
    let _ = note.try_send((Instant::now(), arrival));
}
