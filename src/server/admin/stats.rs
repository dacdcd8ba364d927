//! What there is to tell of a server at one moment.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use crate::{
    engine::{CoreCounters, DriverKind, EndReason, Latencies},
    log::Sequence,
    provider::LocalProvider,
    server::metrics::Sources,
};

/// Where the figures come from.
#[derive(Debug)]
pub(in crate::server) struct Stats {
    sources: Sources,
    driver: DriverKind,
    driver_reason: String,
    is_draining: Arc<AtomicBool>,
    started: Instant,
}

/// The figures, all read at about the same time.
#[derive(Debug, Serialize)]
pub(super) struct Snapshot {
    /// Seconds since 1970.
    time: f64,
    uptime_seconds: f64,
    draining: bool,
    version: &'static str,
    driver: String,
    driver_reason: String,
    /// Upper bounds of what `latencies` counts, in microseconds; the last number there is of the rest.
    latency_bounds: &'static [u64],
    cores: Vec<Core>,
    /// None where the messages are in no Log of this process.
    provider: Option<Provider>,
    http_published: u64,
    control_connections: usize,
}

#[derive(Debug, Serialize)]
struct Core {
    subscribers: u64,
    lagging: u64,
    accepted: u64,
    subscribed: u64,
    sends: u64,
    bytes: u64,
    deliveries: u64,
    heartbeats: u64,
    skips: u64,
    passes: u64,
    parks: u64,
    accept_failures: u64,
    /// Fan-out passes by the time from publish to when it was written to every live subscriber.
    latencies: Vec<u64>,
    ends: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Serialize)]
struct Provider {
    published: u64,
    subscribers: u64,
    topics: usize,
    history_bytes: usize,
    head: u64,
    tail: u64,
}

impl Stats {
    pub(in crate::server) fn new(
        sources: Sources,
        driver: DriverKind,
        driver_reason: &str,
        is_draining: Arc<AtomicBool>,
    ) -> Self {
        let (driver_reason, started) = (driver_reason.to_owned(), Instant::now());
        Self { sources, driver, driver_reason, is_draining, started }
    }

    pub(super) fn provider(&self) -> Option<&LocalProvider> {
        self.sources.provider.as_ref()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Snapshot {
            time: since_epoch.as_secs_f64(),
            uptime_seconds: self.started.elapsed().as_secs_f64(),
            draining: self.is_draining.load(Ordering::Relaxed),
            version: env!("CARGO_PKG_VERSION"),
            driver: self.driver.to_string(),
            driver_reason: self.driver_reason.clone(),
            latency_bounds: &Latencies::BOUNDS,
            cores: self.sources.cores.iter().map(|core| Core::from(&**core)).collect(),
            provider: self.provider().map(Provider::from),
            http_published: self.sources.control.published(),
            control_connections: self.sources.control_connections(),
        }
    }
}

impl From<&CoreCounters> for Core {
    fn from(core: &CoreCounters) -> Self {
        let ends = EndReason::ALL.into_iter();
        Self {
            subscribers: core.subscribers.get(),
            lagging: core.lagging.get(),
            accepted: core.accepted.get(),
            subscribed: core.subscribed.get(),
            sends: core.sends.get(),
            bytes: core.bytes_sent.get(),
            deliveries: core.deliveries().written,
            heartbeats: core.heartbeats.get(),
            skips: core.skips.get(),
            passes: core.passes.get(),
            parks: core.parks.get(),
            accept_failures: core.accept_failures.get(),
            latencies: core.written.buckets().collect(),
            ends: ends.map(|reason| (reason.name(), core.ends(reason).get())).collect(),
        }
    }
}

impl From<&LocalProvider> for Provider {
    fn from(provider: &LocalProvider) -> Self {
        let log = provider.log();
        let head = log.head().number();
        Self {
            published: head - Sequence::FIRST.number(),
            subscribers: provider.subscriptions(),
            topics: provider.topics(),
            history_bytes: log.bytes_used(),
            head,
            tail: log.tail().number(),
        }
    }
}
