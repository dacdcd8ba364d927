//! A case played by our own client.

use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fanfare::Client;
use fanfare::client::{Backoff, ConnectionHandle, Jitter, State};
use tokio::runtime::Handle;

use super::case::{Case, Inputs, Target};
use super::expectation::{Event, Observed, Seen};
use super::verdict;
use crate::harness::eventually;
use crate::harness::scripted::ScriptedServer;

/// The first wait where the server asks for none: far shorter than the time for which nothing may
/// happen any more, so that a connection too many is seen.
const INITIAL_INTERVAL: Duration = Duration::from_millis(50);

/// The limit on silence that the cases are written for.
const READ_TIMEOUT: Duration = Duration::from_millis(500);

/// One logical stream of our client and what it has told; closed when dropped.
struct Stream {
    handle: ConnectionHandle,
    observed: Arc<Mutex<Observed>>,
}

/// Plays the case.
///
/// # Errors
///
/// Says what was otherwise than expected.
pub(super) fn play(case: &Case, runtime: &Handle) -> Result<(), String> {
    let server = ScriptedServer::start(|origins| case.script(origins));
    let open = || Stream::open(case, &url(case, &server), runtime);
    let streams = match case.open_connections() {
        Some(counts) => follow(counts, &server, open),
        None => vec![open()],
    };
    let stream = streams.last().ok_or("no connection was ever to be open")?;
    let seen = || Seen {
        client: stream.observed(),
        requests: server.requests(),
        preflights: server.preflights(),
        steps: case.steps.len(),
    };
    verdict(case, seen)?;
    check_inputs(&case.inputs(), &server)
}

fn url(case: &Case, server: &ScriptedServer) -> String {
    match case.target() {
        Target::Server => server.url(),
        Target::UnknownHost => "http://nothing.invalid/events".to_owned(),
        Target::ClosedPort => {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            format!("http://{}/events", listener.local_addr().expect("it is bound"))
        }
    }
}

/// Opens and closes streams until the server has counted its connections so, one after the other;
/// returns all that were ever open.
fn follow(counts: &[usize], server: &ScriptedServer, open: impl Fn() -> Stream) -> Vec<Stream> {
    let mut streams = Vec::new();
    let mut closed = 0;
    for &count in counts {
        while streams.len() - closed < count {
            streams.push(open());
        }
        while streams.len() - closed > count {
            streams[closed].handle.close();
            closed += 1;
        }
        eventually(&format!("{count} open connections"), || {
            (server.open_connections() == count).then_some(())
        });
    }
    streams
}

/// What the client was told to send has arrived with the first request: else what is expected to be
/// gone later was never there.
fn check_inputs(inputs: &Inputs, server: &ScriptedServer) -> Result<(), String> {
    let requests = server.requests();
    for (name, value) in &inputs.headers {
        let sent = requests.first().and_then(|request| request.header(name));
        if sent.as_ref() != Some(value) {
            return Err(format!("the first request's {name}: {sent:?}, told to be {value:?}"));
        }
    }
    Ok(())
}

impl Stream {
    fn open(case: &Case, url: &str, runtime: &Handle) -> Self {
        let observed = Arc::<Mutex<Observed>>::default();
        let mut connection = {
            let observed = Arc::clone(&observed);
            let statuses = case.retry_statuses().into_iter();
            let statuses = statuses.map(|code| code.try_into().expect("a status"));
            let backoff = Backoff {
                initial_interval: INITIAL_INTERVAL,
                jitter: Jitter::Off,
                ..Backoff::default()
            };
            let mut builder = Client::builder()
                .backoff(backoff)
                .retry_statuses(statuses)
                .on_retry(move |error, _| note(&observed, |seen| seen.error(&error.to_string())));
            if case.needs_read_timeout() {
                builder = builder.read_idle_timeout(READ_TIMEOUT);
            }
            builder.build().expect("the settings are good").connect(request(&case.inputs(), url))
        };
        let handle = connection.handle();
        handle.on_state({
            let observed = Arc::clone(&observed);
            move |state| note(&observed, |seen| seen.states.push(name(state).to_owned()))
        });
        if case.is_closed_by_the_client() {
            let handle = handle.clone();
            connection.handle().on_any(move |_| handle.close());
        }
        let stream = Self { handle, observed: Arc::clone(&observed) };
        runtime.spawn(async move {
            while let Some(next) = connection.next().await {
                note(&observed, |seen| match next {
                    Ok(event) => seen.events.push(event.into()),
                    Err(error) => seen.error(&error.to_string()),
                });
            }
        });
        stream
    }

    fn observed(&self) -> Observed {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.handle.close();
    }
}

fn note(observed: &Mutex<Observed>, add: impl FnOnce(&mut Observed)) {
    add(&mut observed.lock().unwrap_or_else(PoisonError::into_inner));
}

fn request(inputs: &Inputs, url: &str) -> http::Request<bytes::Bytes> {
    let method = inputs.method.as_deref().unwrap_or("GET");
    let mut request = http::Request::builder().method(method).uri(url);
    for (name, value) in &inputs.headers {
        request = request.header(name, value.as_bytes());
    }
    request.body(inputs.body.clone().into()).expect("a case's request is one")
}

/// The state in the words of `EventSource`, which has no other one for waiting to reconnect.
fn name(state: State) -> &'static str {
    match state {
        State::Connecting | State::Reconnecting => "connecting",
        State::Open => "open",
        State::Closed => "closed",
        _ => "unknown",
    }
}

impl From<fanfare::sse::Event> for Event {
    fn from(event: fanfare::sse::Event) -> Self {
        Self {
            r#type: event.event_type().to_owned(),
            last_event_id: event.last_event_id().to_owned(),
            data: event.into_data(),
        }
    }
}
