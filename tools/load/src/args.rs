//! The command line, as typed. Everything has a default: no flags is the canonical load.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::payload;

/// Load tester for server-sent events: every delivery to every subscriber is audited.
///
/// With no flags it starts a Fanfare server on a free port, runs the canonical load of 1,000
/// subscribers for 5 seconds, prints one table and ends the server. The exit status is 0 when
/// every delivery arrived intact, once and in order, 1 when one did not, 2 when the run failed.
#[derive(Debug, Parser)]
#[command(name = "fanfare-load", version, args_override_self = true)]
pub(crate) struct Args {
    /// Connections that subscribe to the topic
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) subscribers: u32,

    /// Messages per second, at times fixed in advance (0: connect and hold only)
    #[arg(long, value_name = "MSG/S", default_value_t = 1_000.0, value_parser = rate)]
    pub(crate) rate: f64,

    /// How long to publish, as in 5s, 500ms or 2m
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(crate) duration: Duration,

    /// Bytes of data in each message
    #[arg(long, value_name = "BYTES", default_value_t = 128, value_parser = size)]
    pub(crate) size: usize,

    /// Topic to publish on and subscribe to
    #[arg(long, default_value = "load")]
    pub(crate) topic: String,

    /// Server under test, as in http://127.0.0.1:8080; without it, one is started
    #[arg(long, value_name = "URL")]
    pub(crate) target: Option<String>,

    /// Where to subscribe: a path on the target or a whole URL
    #[arg(long, value_name = "TEMPLATE", default_value = "/events?topic={topic}")]
    pub(crate) subscribe_url: String,

    /// Where to publish: a path on the target or a whole URL
    #[arg(long, value_name = "TEMPLATE", default_value = "/publish?topic={topic}")]
    pub(crate) publish_url: String,

    /// How to publish: one long chunked NDJSON request, or one pipelined POST per message
    #[arg(long, value_enum, default_value_t = PublishMode::Ndjson)]
    pub(crate) publish_mode: PublishMode,

    /// Connections being made at the same time
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) connecting: u32,

    /// Process id of the server, to report its CPU time and memory
    #[arg(long)]
    pub(crate) pid: Option<u32>,

    /// Pin the tester to this CPU
    #[arg(long)]
    pub(crate) cpu: Option<usize>,

    /// Pin the server this tool starts to this CPU
    #[arg(long, conflicts_with = "target")]
    pub(crate) server_cpu: Option<usize>,

    /// Server binary to start (default: `fanfare` beside this program, else cargo builds it)
    #[arg(long, value_name = "PATH", conflicts_with = "target")]
    pub(crate) server: Option<PathBuf>,

    /// What receives: io_uring, epoll, or io_uring where the system allows it
    #[arg(long, value_enum, default_value_t = RuntimeChoice::Auto)]
    pub(crate) runtime: RuntimeChoice,

    /// Write the report as JSON to this file, or to standard output instead of the table (-)
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<String>,
}

/// How messages reach the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum PublishMode {
    /// One chunked request for the whole run, one JSON line per message.
    Ndjson,
    /// One pipelined text request per message.
    Post,
}

/// Which runtime receives.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum RuntimeChoice {
    /// tokio-uring, or tokio where io_uring is denied.
    Auto,
    /// tokio-uring, or an error.
    Uring,
    /// tokio over epoll.
    Tokio,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.replace([',', '_'], "").parse::<f64>() {
        Ok(rate) if (0.0..=10_000_000.0).contains(&rate) => Ok(rate),
        _ => Err("expected a number of messages per second from 0 to 10,000,000".to_owned()),
    }
}

fn size(text: &str) -> Result<usize, String> {
    let range = payload::HEADER_BYTES..=payload::SIZE_MAX;
    match text.parse::<usize>() {
        Ok(size) if range.contains(&size) => Ok(size),
        _ => Err(format!(
            "expected {} (sequence, times and checksum) to {} bytes",
            range.start(),
            range.end()
        )),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let seconds_per_unit = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err("expected a time such as 5s, 500ms, 2m or 1h".to_owned()),
    };
    match digits.parse::<f64>() {
        Ok(value) if value > 0.0 && value * seconds_per_unit <= 86_400.0 => {
            Ok(Duration::from_secs_f64(value * seconds_per_unit))
        }
        _ => Err("expected a time of more than nothing and at most a day".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flags_is_the_canonical_load() {
        let args = Args::parse_from(["fanfare-load"]);
        assert_eq!((args.subscribers, args.rate, args.size), (1_000, 1_000.0, 128));
        assert_eq!(args.duration, Duration::from_secs(5));
        assert!(args.target.is_none());
    }

    #[test]
    fn durations_take_their_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        for bad in ["", "s", "-1s", "0", "5 parsecs", "25h"] {
            assert!(duration(bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn a_payload_must_hold_its_stamp() {
        assert!(size("35").is_err());
        assert_eq!(size("36"), Ok(36));
    }
}
