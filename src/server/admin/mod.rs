//! The operator's side: what the server is doing, and what may be done about it. Off by default.
//!
//! A listener of its own in the control runtime, so that it can be kept from the public, and stays
//! open while the cores drain. Whoever reaches it may see every topic's name and close every
//! connection; there is no other lock. `guard` keeps out the one stranger who always reaches a
//! loopback address: a page in the operator's browser.

mod connections;
mod guard;
mod live;
mod stats;
mod topics;

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::State,
    middleware,
    response::Response,
    routing::{delete, get},
};
use tokio::sync::Semaphore;

pub(super) use self::stats::Stats;
use self::{live::Live, stats::Snapshot};
use super::{
    StartError,
    control::{Beside, Door},
    fault::Fault,
    pages,
    routes::{self, Desk},
};
use crate::{engine::Cores, limits};

/// What the handlers share. Clones are cheap.
#[derive(Clone, Debug)]
pub(super) struct Office {
    cores: Cores,
    /// One question to a core at a time, so that many operators hold it up no longer than one.
    asking: Arc<Semaphore>,
    stats: Arc<Stats>,
    live: Live,
}

/// A listener for operators.
///
/// # Errors
/// [`StartError::Admin`].
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let failed = |fault| StartError::Admin { address, fault };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "whoever reaches the operator's address may close connections");
    }
    Ok(listener)
}

/// The operator's side of a server whose public side is `desk`'s, and what is to run beside it.
pub(super) fn open(
    listener: TcpListener,
    cores: Cores,
    stats: Stats,
    desk: Desk,
) -> (Door, Beside) {
    let stats = Arc::new(stats);
    let (live, beside) = live::start(Arc::clone(&stats));
    let office = Office { cores, asking: Arc::new(Semaphore::new(1)), stats, live };
    let permits = Arc::new(Semaphore::new(limits::ADMIN_CONNECTIONS_MAX));
    (Door::new(listener, router(office, desk), permits), beside)
}

fn router(office: Office, desk: Desk) -> Router {
    Router::new()
        .route("/", get(dashboard))
        .route("/connections", get(connections::list))
        .route("/connections/{id}", delete(connections::close))
        .route("/topics", get(topics::busiest))
        .route("/stats", get(stats))
        .route("/stats/live", get(live::watch))
        .with_state(office)
        .merge(routes::probes().with_state(desk))
        .fallback(routes::unknown_path)
        .method_not_allowed_fallback(routes::wrong_method)
        .layer(middleware::from_fn(guard::guard))
}

async fn dashboard() -> Result<Response, Fault> {
    pages::answer(include_str!("dashboard.html"))
}

async fn stats(State(office): State<Office>) -> Json<Snapshot> {
    Json(office.stats.snapshot())
}
