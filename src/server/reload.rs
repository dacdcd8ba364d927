//! What a running server changes without ending anybody.

use std::time::Duration;

use super::Server;
use crate::{
    engine::Tuning,
    limits::{HEARTBEAT_MIN, LimitError, Limits},
    provider::LagPolicy,
};

/// What a running server can change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reloadable {
    /// The limits. Those that say that they are set at the start stay as they were.
    pub limits: Limits,
    /// How often a quiet stream gets a comment; none is never. It holds at once on the cores, and for
    /// new streams in the control runtime.
    pub heartbeat: Option<Duration>,
    /// What becomes of a subscriber that comes from now on, reads too slowly, and asks for nothing
    /// else.
    pub lag: LagPolicy,
    /// How far a subscriber may lag, new or old; none is as far as the history.
    pub lag_bytes: Option<u64>,
}

impl Server {
    /// What can be changed, as it is now, to be changed and given to [`reload`](Self::reload).
    pub fn reloadable(&self) -> Reloadable {
        let Tuning { limits, heartbeat } = self.tuning.get();
        let local = self.publisher.provider().local();
        let (lag, lag_bytes) =
            local.map(|local| (local.lag_default(), local.lag_bytes())).unwrap_or_default();
        Reloadable { limits, heartbeat, lag, lag_bytes }
    }

    /// Goes on with other settings. Nobody is disconnected by it: who is connected keeps the deadline
    /// that was set for it, and what holds for new connections holds for those that come from now on.
    ///
    /// ```
    /// use fanfare::{Server, provider::LagPolicy};
    ///
    /// let server = Server::builder().listen("127.0.0.1:0").cores(1).start()?;
    /// let mut settings = server.reloadable();
    /// settings.lag = LagPolicy::SkipToNewest;
    /// server.reload(&settings)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`LimitError`] names a limit that cannot be; then nothing changes.
    pub fn reload(&self, settings: &Reloadable) -> Result<(), LimitError> {
        settings.limits.check()?;
        let heartbeat = settings.heartbeat.map(|interval| interval.max(HEARTBEAT_MIN));
        let limits = settings.limits.after_the_start(&self.tuning.get().limits);
        self.engine.retune(Tuning { limits, heartbeat });
        if let Some(local) = self.publisher.provider().local() {
            local.set_lag(settings.lag, settings.lag_bytes);
        }
        Ok(())
    }
}
