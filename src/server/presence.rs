//! Tells now and then how many subscribers topics have, where the provider is to.

use tokio::time::{MissedTickBehavior, interval};

use super::control::Beside;
use crate::{limits, provider::LocalProvider};

/// What is to run beside the connections; none where nobody wants to know.
pub(super) fn start(provider: &LocalProvider) -> Option<Beside> {
    provider.presence_topic()?;
    Some(Box::pin(tell(provider.clone())))
}

async fn tell(provider: LocalProvider) {
    let mut ticks = interval(limits::PRESENCE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if provider.tell_presence().is_err() {
            return;
        }
    }
}
