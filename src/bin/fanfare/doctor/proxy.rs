//! What a proxy does to a stream: subscribes and publishes through it, and sees what arrives and when.

mod compression;
mod delivery;
mod headers;
mod liveness;
mod publishing;
mod resume;
mod stream;
mod targets;

use std::{error::Error, time::Duration};

use clap::Args;
use fanfare::limits;

pub(super) use self::targets::Targets;
use self::{delivery::Delivered, publishing::Publishing, stream::Stream};
use super::{super::header::Header, finding::Finding};

/// Where a stream is to be had, and how.
#[derive(Args)]
pub(super) struct Proxy {
    /// A stream as clients see it, to be checked for what a proxy does to it:
    /// `https://example.com/events`. Named topics get some events of the type `fanfare-doctor`.
    #[arg(long)]
    url: Option<String>,
    /// Where to publish [default: `publish` beside the stream].
    #[arg(long, value_name = "URL", requires = "url")]
    publish_url: Option<String>,
    /// Header of every request, as in "Authorization: Bearer …".
    #[arg(short = 'H', long = "header", value_name = "HEADER", requires = "url")]
    headers: Vec<Header>,
    /// Seconds between two heartbeats of the server; 0 is none, and none is waited for.
    #[arg(long, value_name = "SECONDS", requires = "url",
          default_value_t = limits::HEARTBEAT_DEFAULT.as_secs())]
    heartbeat: u64,
    /// Also keep a stream on which nothing is published open for so many seconds.
    #[arg(long, value_name = "SECONDS", requires = "url")]
    idle: Option<u64>,
}

/// How long a head, an event or an answer may take before it counts as held back.
const PATIENCE: Duration = Duration::from_secs(3);

impl Proxy {
    /// Where to subscribe and to publish; none if no stream is to be checked.
    pub(super) fn targets(&self) -> Result<Option<Targets>, String> {
        let derive = |url: &String| Targets::derive(url, self.publish_url.as_deref());
        self.url.as_ref().map(derive).transpose()
    }
}

/// Checks one thing after the other; what cannot be looked at since something before it failed is left out.
///
/// # Errors
/// If no request can be made at all: where the system has no certificates, for one.
pub(super) async fn check(
    proxy: &Proxy,
    targets: &Targets,
) -> Result<Vec<Finding>, Box<dyn Error>> {
    let mut findings = Vec::new();
    let publishing = Publishing::new(targets, &proxy.headers)?;
    let mut stream = Stream::open(targets, &proxy.headers, None)?;
    let head = stream.head(PATIENCE).await;
    if let Err(fault) = &head {
        findings.push(stream::refused(fault));
        return Ok(findings);
    }
    let delivered = delivery::check(&mut stream, &publishing, &mut findings).await;
    // The head may have been held back with the first event.
    if let Ok(Some(head)) = stream.head(Duration::ZERO).await {
        findings.push(headers::judge(&head));
    }
    if let Delivered::Yes { last_event_id } = delivered {
        drop(stream);
        findings.push(compression::check(targets, &proxy.headers, &publishing).await);
        findings.push(resume::check(targets, &proxy.headers, &publishing, last_event_id).await?);
        findings.extend(liveness::check(proxy, targets, &publishing).await?);
    }
    Ok(findings)
}
