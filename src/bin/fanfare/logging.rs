//! What the process logs, and how that changes while it runs.

use std::io;

use tracing_subscriber::EnvFilter;

/// What is logged unless a setting says something else.
pub(crate) const FILTER_DEFAULT: &str = "warn,fanfare=info";

/// The way to another filter.
pub(crate) struct Logging {
    set: Box<dyn Fn(EnvFilter) -> Result<(), String> + Send>,
}

impl Logging {
    /// Logs to standard error from now on, by the default filter.
    pub(crate) fn start() -> Self {
        let builder = tracing_subscriber::fmt()
            .with_writer(io::stderr)
            .with_env_filter(EnvFilter::new(FILTER_DEFAULT))
            .with_filter_reloading();
        let handle = builder.reload_handle();
        builder.init();
        let set = move |filter| handle.reload(filter).map_err(|fault| fault.to_string());
        Self { set: Box::new(set) }
    }

    /// Logs what `filter` selects from now on.
    pub(crate) fn set(&self, filter: &str) -> Result<(), String> {
        (self.set)(parse(filter)?)
    }
}

/// A filter that can be set.
pub(crate) fn checked(filter: &str) -> Result<String, String> {
    parse(filter).map(|_| filter.to_owned())
}

fn parse(filter: &str) -> Result<EnvFilter, String> {
    EnvFilter::builder().parse(filter).map_err(|fault| fault.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_checked() {
        for filter in [FILTER_DEFAULT, "debug", "fanfare::engine=trace,warn"] {
            assert_eq!(checked(filter).as_deref(), Ok(filter));
        }
        assert!(checked("fanfare=loud").is_err());
    }
}
