//! The figures as an event stream: each second one snapshot, of a provider like any other's.
//!
//! It is taken once for all who watch, and not at all while nobody does.

use std::{pin::Pin, sync::Arc};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::{
    sync::Semaphore,
    time::{MissedTickBehavior, interval},
};

use super::{Office, stats::Stats};
use crate::{
    limits,
    provider::{LocalProvider, Provider, SubscribeRequest},
    server::{control::Beside, event_stream::EventStream, fault::Fault},
    sse::Message,
};

/// Where those who watch subscribe.
#[derive(Clone, Debug)]
pub(super) struct Live {
    provider: LocalProvider,
    permits: Arc<Semaphore>,
}

/// Ends the streams of those who watch where it is dropped, which is when the runtime stops.
struct Feed {
    provider: LocalProvider,
    stats: Arc<Stats>,
}

/// The one topic.
const TOPIC: &str = "stats";

/// A way to watch, and what is to run beside it.
pub(super) fn start(stats: Arc<Stats>) -> (Live, Beside) {
    let provider = LocalProvider::builder().history_bytes(limits::HISTORY_BYTES_MIN).build();
    let permits = Arc::new(Semaphore::new(limits::ADMIN_WATCHERS_MAX));
    let feed = Feed { provider: provider.clone(), stats };
    (Live { provider, permits }, Box::pin(feed.run()) as Pin<Box<_>>)
}

pub(super) async fn watch(State(office): State<Office>) -> Result<Response, Fault> {
    let Live { provider, permits } = office.live;
    let permit = permits.try_acquire_owned().map_err(|_| {
        Fault::new(StatusCode::SERVICE_UNAVAILABLE, "as many watch as there is room for")
    })?;
    // An earlier snapshot is of no use: whoever comes back begins with the next one.
    let subscription = Provider::subscribe(&provider, &SubscribeRequest::to(&[TOPIC]))?;
    let stream = Body::from_stream(EventStream::new(subscription, None, permit));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, stream).into_response())
}

impl Feed {
    async fn run(self) {
        let mut ticks = interval(limits::SNAPSHOT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.provider.subscriptions() > 0 {
                self.tell();
            }
        }
    }

    fn tell(&self) {
        let snapshot = serde_json::to_string(&self.stats.snapshot())
            .expect("numbers and texts are always JSON");
        if let Err(fault) = self.provider.publish(&Message::new(snapshot), &[TOPIC]) {
            tracing::error!(%fault, "the figures cannot be told");
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        // Nobody else shuts it down.
        let _ = self.provider.shutdown();
    }
}
