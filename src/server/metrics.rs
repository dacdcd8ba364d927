//! What is counted, as Prometheus reads it.
//!
//! Nothing is collected until it is asked for: the counters are where the work is done, and one
//! collector reads them at each scrape.

use std::{
    fmt::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::Registry,
};
use tokio::sync::Semaphore;

use crate::{
    engine::{CoreCounters, Counter, Deliveries, Discard, EndReason, Latencies},
    log::Sequence,
    provider::LocalProvider,
};

/// What the control runtime counts.
#[derive(Debug, Default)]
pub(super) struct ControlCounters {
    published: AtomicU64,
}

/// Where the figures come from.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    /// None where the messages are in no Log of this process.
    pub(super) provider: Option<LocalProvider>,
    pub(super) cores: Vec<Arc<CoreCounters>>,
    pub(super) control: Arc<ControlCounters>,
    /// Free places for connections in the control runtime.
    pub(super) control_permits: Arc<Semaphore>,
    /// All of them.
    pub(super) control_places: usize,
}

type Read = fn(&CoreCounters) -> &Counter;

type ReadDeliveries = fn(&Deliveries) -> u64;

/// What each core counts up: name, help, counter.
const COUNTERS: [(&str, &str, Read); 9] = [
    ("fanfare_connections_accepted", "Connections accepted.", |core| &core.accepted),
    ("fanfare_subscriptions_started", "Event streams begun.", |core| &core.subscribed),
    ("fanfare_sends", "Send operations.", |core| &core.sends),
    ("fanfare_sent_bytes", "Bytes that the kernel took.", |core| &core.bytes_sent),
    ("fanfare_heartbeats", "Comments sent on quiet streams.", |core| &core.heartbeats),
    ("fanfare_subscribers_skipped", "Times a slow subscriber skipped messages.", |core| {
        &core.skips
    }),
    ("fanfare_passes", "Fan-out passes begun.", |core| &core.passes),
    ("fanfare_parks", "Times a core had nothing to do and slept.", |core| &core.parks),
    ("fanfare_accept_failures", "Times accepting failed.", |core| &core.accept_failures),
];

/// What has become of events, counted per subscriber: name, help, figure.
const DELIVERIES: [(&str, &str, ReadDeliveries); 2] = [
    (
        "fanfare_events_offered",
        "Events for a subscriber: delivered, pending and discarded ones together.",
        |of| of.offered,
    ),
    ("fanfare_events_delivered", "Whole events sent, counted per subscriber.", |of| of.written),
];

/// What each core has at the moment.
const GAUGES: [(&str, &str, Read); 2] = [
    ("fanfare_core_subscribers", "Subscribers on a core.", |core| &core.subscribers),
    ("fanfare_core_subscribers_lagging", "Of these, how many are catching up.", |core| {
        &core.lagging
    }),
];

impl ControlCounters {
    /// Counts messages in that were published over HTTP.
    pub(super) fn count_published(&self, messages: u64) {
        self.published.fetch_add(messages, Ordering::Relaxed);
    }

    /// Messages that were published over HTTP.
    pub(super) fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }
}

/// A registry of everything.
pub(super) fn registry(driver: &str, why: &str, sources: Sources) -> Registry {
    let mut registry = Registry::default();
    let info = Info::new([
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("driver", driver.to_owned()),
        ("why", why.to_owned()),
    ]);
    registry.register("fanfare", "What is running, and how it moves bytes", info);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    registry.register(
        "process_start_time_seconds",
        "When the server started, in seconds since 1970",
        ConstGauge::new(since_epoch.as_secs_f64()),
    );
    registry.register_collector(Box::new(sources));
    registry
}

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        self.encode_cores(&mut encoder)?;
        self.encode_deliveries(&mut encoder)?;
        self.encode_ends(&mut encoder)?;
        self.encode_written(&mut encoder)?;
        self.encode_counters(&mut encoder)?;
        self.encode_gauges(&mut encoder)
    }
}

impl Sources {
    /// Connections in the control runtime at the moment.
    pub(super) fn control_connections(&self) -> usize {
        self.control_places - self.control_permits.available_permits()
    }

    fn encode_cores(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        for (name, help, read) in COUNTERS {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (number, core) in self.cores.iter().enumerate() {
                let labels = [("core", number)];
                let value = ConstCounter::new(read(core).get());
                value.encode(metric.encode_family(&labels)?)?;
            }
        }
        for (name, help, read) in GAUGES {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (number, core) in self.cores.iter().enumerate() {
                let labels = [("core", number)];
                gauge(read(core).get()).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    /// What adds up: the figures of a core are of one moment.
    fn encode_deliveries(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let cores: Vec<Deliveries> = self.cores.iter().map(|core| core.deliveries()).collect();
        for (name, help, read) in DELIVERIES {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (number, core) in cores.iter().enumerate() {
                let value = ConstCounter::new(read(core));
                value.encode(metric.encode_family(&[("core", number)])?)?;
            }
        }
        let help = "Events offered and given up, counted per subscriber, by reason.";
        let name = "fanfare_events_discarded";
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (number, core) in cores.iter().enumerate() {
            for (why, discarded) in Discard::ALL.iter().zip(core.discarded) {
                let labels = [("core", number.to_string()), ("reason", why.name().to_owned())];
                ConstCounter::new(discarded).encode(metric.encode_family(&labels)?)?;
            }
        }
        let help = "Events offered that are neither delivered nor discarded yet.";
        let name = "fanfare_events_pending";
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (number, core) in cores.iter().enumerate() {
            gauge(core.pending()).encode(metric.encode_family(&[("core", number)])?)?;
        }
        Ok(())
    }

    fn encode_ends(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let help = "Connections that ended on a core, by reason.";
        let name = "fanfare_connections_ended";
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (number, core) in self.cores.iter().enumerate() {
            for reason in EndReason::ALL {
                let labels = [("core", number.to_string()), ("reason", reason.name().to_owned())];
                let value = ConstCounter::new(core.ends(reason).get());
                value.encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn encode_written(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let help =
            "From publishing to written to every live subscriber, of one message of each pass.";
        let name = "fanfare_written_seconds";
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        let bounds = Latencies::BOUNDS.iter().map(|&micros| micros as f64 / 1e6);
        let bounds: Vec<f64> = bounds.chain([f64::INFINITY]).collect();
        for (number, core) in self.cores.iter().enumerate() {
            let buckets: Vec<(f64, u64)> =
                bounds.iter().copied().zip(core.written.buckets()).collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            let sum = core.written.micros() as f64 / 1e6;
            let labels = [("core", number)];
            let mut family = metric.encode_family(&labels)?;
            family.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    fn encode_counters(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let over_http = self.control.published();
        let over_http =
            ("fanfare_http_messages_published", "Messages published over HTTP.", over_http);
        let anywhere = self.provider.as_ref().map(|provider| {
            let published = provider.log().head().number() - Sequence::FIRST.number();
            ("fanfare_messages_published", "Messages published, from anywhere.", published)
        });
        for (name, help, value) in anywhere.into_iter().chain([over_http]) {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(metric)?;
        }
        Ok(())
    }

    fn encode_gauges(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let help = "Connections in the control runtime.";
        let control = [("fanfare_control_connections", help, self.control_connections() as u64)];
        let of_log = self.provider.as_ref().map(log_gauges).into_iter().flatten();
        for (name, help, value) in of_log.chain(control) {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            gauge(value).encode(metric)?;
        }
        Ok(())
    }
}

fn log_gauges(provider: &LocalProvider) -> [(&'static str, &'static str, u64); 5] {
    let log = provider.log();
    [
        ("fanfare_subscribers", "Subscribers now.", provider.subscriptions()),
        (
            "fanfare_topics",
            "Topics that have a subscriber or a retained message.",
            provider.topics() as u64,
        ),
        (
            "fanfare_log_head_sequence",
            "Sequence that the next message will get.",
            log.head().number(),
        ),
        (
            "fanfare_log_tail_sequence",
            "Sequence of the oldest retained message.",
            log.tail().number(),
        ),
        ("fanfare_history_bytes", "Bytes of messages retained.", log.bytes_used() as u64),
    ]
}

fn gauge(value: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}
