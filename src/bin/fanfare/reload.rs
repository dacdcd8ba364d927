//! SIGHUP: the settings are read again, and what can change without dropping anyone does.

use std::{env, error::Error, time::Duration};

use fanfare::{Server, server::Reloadable};

use super::{
    logging::Logging,
    settings::{self, Flags, Resolved, Settings, Value},
};

/// The settings that hold at once, or for new connections. A change of any other holds from the
/// next start.
const RELOADABLE: [&str; 29] = [
    "drain",
    "log",
    "lag",
    "lag-bytes",
    "heartbeat",
    "connections-per-core",
    "head-deadline",
    "topics-per-subscription",
    "write-stall-deadline",
    "drain-deadline",
    "body-bytes",
    "body-deadline",
    "subscribe",
    "publish",
    "token-file",
    "jwt-key-file",
    "jwt-audience",
    "jwt-issuer",
    "jwt-leeway",
    "jwt-expiry",
    "jwt-claim",
    "token-cookie",
    "token-parameter",
    "trusted-proxy",
    "forwarded-header",
    "connections-per-ip",
    "connections-per-token",
    "publish-rate",
    "publish-burst",
];

/// Reads the settings again, as often as it is asked.
pub(crate) struct Reloader<'r> {
    flags: &'r Flags,
    logging: &'r Logging,
    /// What the server runs with.
    running: Vec<Value>,
    /// Time over which the streams end.
    drain: Duration,
}

/// What a reload did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    /// What holds now, as the file would say it.
    changed: Vec<String>,
    /// What has another value and does not hold yet.
    needs_restart: Vec<String>,
}

impl<'r> Reloader<'r> {
    /// The server runs with these settings now.
    pub(crate) fn new(flags: &'r Flags, logging: &'r Logging, running: Resolved) -> Self {
        let drain = running.settings.server.drain.0;
        Self { flags, logging, running: running.values, drain }
    }

    /// Over what time the streams are to end when the server is told to end.
    pub(crate) fn drain(&self) -> Duration {
        self.drain
    }

    /// Reads the settings again, changes what can change, and logs one line about it. Settings that
    /// cannot be change nothing.
    pub(crate) fn reload(&mut self, server: &Server) {
        match self.try_reload(server) {
            Ok(Changes { changed, needs_restart }) => tracing::info!(
                changed = changed.join(", "),
                needs_restart = needs_restart.join(", "),
                "settings read again"
            ),
            Err(fault) => {
                let fault = fault.to_string().replace('\n', "; ");
                tracing::error!(fault, "settings not read again: nothing has changed");
            }
        }
    }

    fn try_reload(&mut self, server: &Server) -> Result<Changes, Box<dyn Error>> {
        let resolved = settings::resolve(self.flags, &|variable| env::var_os(variable))?;
        // Keys and tokens may be others in files of the same names. This may fail: it comes first.
        server.set_access(resolved.settings.access.access()?)?;
        server.reload(&reloadable(&resolved.settings, server))?;
        self.logging.set(&resolved.settings.server.log)?;
        self.drain = resolved.settings.server.drain.0;
        Ok(take_over(&mut self.running, resolved.values))
    }
}

/// What the settings make of a running server.
fn reloadable(Settings { history, limits, .. }: &Settings, server: &Server) -> Reloadable {
    let mut reloadable = server.reloadable();
    reloadable.limits = limits.into();
    reloadable.heartbeat = history.heartbeat();
    reloadable.lag = history.lag.into();
    reloadable.lag_bytes = history.lag_bytes();
    reloadable
}

/// Takes those of the values over that hold at once.
fn take_over(running: &mut [Value], now: Vec<Value>) -> Changes {
    let mut changes = Changes::default();
    for (running, now) in running.iter_mut().zip(now) {
        if running.texts == now.texts {
            continue;
        }
        if RELOADABLE.contains(&&*now.name) {
            changes.changed.push(now.line());
            *running = now;
        } else {
            changes.needs_restart.push(now.line());
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(variables: &[(&str, &str)]) -> Vec<Value> {
        let find = |name: &str| variables.iter().find(|(variable, _)| *variable == name);
        let environment = |name: &str| find(name).map(|(_, text)| text.into());
        settings::resolve(&Flags::default(), &environment).unwrap().values
    }

    #[test]
    fn what_is_listed_is_a_setting() {
        let all = values(&[]);
        for name in RELOADABLE {
            assert!(all.iter().any(|value| value.name == name), "{name}");
        }
    }

    #[test]
    fn what_needs_a_restart_is_said_until_there_is_one() {
        let mut running = values(&[]);
        let now = || values(&[("FANFARE_LISTEN", "127.0.0.1:9"), ("FANFARE_HEARTBEAT", "3s")]);
        let changes = take_over(&mut running, now());
        assert_eq!(changes.changed, ["heartbeat = \"3s\""]);
        assert_eq!(changes.needs_restart, ["listen = \"127.0.0.1:9\""]);
        let changes = take_over(&mut running, now());
        assert!(changes.changed.is_empty());
        assert_eq!(changes.needs_restart, ["listen = \"127.0.0.1:9\""]);
        let changes = take_over(&mut running, values(&[]));
        assert_eq!(changes.changed, ["heartbeat = \"15s\""]);
        assert!(changes.needs_restart.is_empty());
    }
}
