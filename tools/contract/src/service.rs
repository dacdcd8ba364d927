//! What the harness asks of the service.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    extract::{Path, State, rejection::JsonRejection},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify};

use crate::client::{Running, Wanted};

/// What the contract tests may ask of the client: all of it, but for callbacks that are registered by
/// type before anything comes, which is another shape of API.
const CAPABILITIES: [&str; 9] = [
    "bom",
    "comments",
    "headers",
    "last-event-id",
    "post",
    "read-timeout",
    "report",
    "restart",
    "server-directed-shutdown-request",
];

/// Most clients at a time; the harness has one or two.
const CLIENTS_MAX: usize = 1024;

#[derive(Clone, Default)]
struct Service {
    clients: Arc<Mutex<Clients>>,
    stop: Arc<Notify>,
}

#[derive(Default)]
struct Clients {
    running: HashMap<u64, Running>,
    made: u64,
}

/// What the harness tells a client to do.
#[derive(Deserialize)]
struct Command {
    command: String,
}

/// A refusal, and why.
struct Fault(StatusCode, String);

/// Serves until it is asked to stop.
pub(crate) async fn serve(listener: TcpListener) -> io::Result<()> {
    let service = Service::default();
    let stop = Arc::clone(&service.stop);
    let router = Router::new()
        .route("/", get(capabilities).post(create).delete(stop_service))
        .route("/clients/{id}", post(command).delete(end))
        .with_state(service);
    axum::serve(listener, router).with_graceful_shutdown(async move { stop.notified().await }).await
}

async fn capabilities() -> Json<Value> {
    Json(json!({ "capabilities": CAPABILITIES }))
}

async fn create(
    State(service): State<Service>,
    wanted: Result<Json<Wanted>, JsonRejection>,
) -> Result<Response, Fault> {
    let Json(wanted) = wanted.map_err(bad_json)?;
    if service.clients().running.len() >= CLIENTS_MAX {
        return Err(Fault(StatusCode::SERVICE_UNAVAILABLE, "too many clients".into()));
    }
    let running = Running::start(wanted).map_err(|why| Fault(StatusCode::BAD_REQUEST, why))?;
    let mut clients = service.clients();
    clients.made += 1;
    let id = clients.made;
    clients.running.insert(id, running);
    let location = [(header::LOCATION, format!("/clients/{id}"))];
    Ok((StatusCode::CREATED, location).into_response())
}

async fn command(
    State(service): State<Service>,
    Path(id): Path<u64>,
    command: Result<Json<Command>, JsonRejection>,
) -> Result<StatusCode, Fault> {
    let Json(Command { command }) = command.map_err(bad_json)?;
    let clients = service.clients();
    let running = clients.running.get(&id).ok_or_else(|| unknown(id))?;
    match &*command {
        "restart" => running.restart(),
        other => return Err(Fault(StatusCode::BAD_REQUEST, format!("unknown command {other:?}"))),
    }
    Ok(StatusCode::ACCEPTED)
}

async fn end(State(service): State<Service>, Path(id): Path<u64>) -> Result<StatusCode, Fault> {
    let ended = service.clients().running.remove(&id);
    ended.map(|_| StatusCode::NO_CONTENT).ok_or_else(|| unknown(id))
}

async fn stop_service(State(service): State<Service>) -> impl IntoResponse {
    service.clients().running.clear();
    service.stop.notify_one();
    ([(HeaderName::from_static("connection"), "close")], StatusCode::NO_CONTENT)
}

fn bad_json(rejection: JsonRejection) -> Fault {
    Fault(StatusCode::BAD_REQUEST, rejection.body_text())
}

fn unknown(id: u64) -> Fault {
    Fault(StatusCode::NOT_FOUND, format!("there is no client {id}"))
}

impl Service {
    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}
