//! How many connections may wait to be accepted: what a burst of reconnects meets first.

use fanfare::limits;

use super::{
    finding::{Finding, Level, grouped, mend},
    proc,
};

const CHECK: &str = "backlog";

/// What Linux has had since 5.4 by default, and what each core asks for.
const ASKED: u64 = limits::ACCEPT_BACKLOG as u64;

pub(super) fn check() -> Finding {
    match proc::number("/proc/sys/net/core/somaxconn") {
        Some(allowed) => judge(allowed),
        None => Finding::unknown(CHECK, "net.core.somaxconn cannot be read"),
    }
}

fn judge(allowed: u64) -> Finding {
    let queued = allowed.min(ASKED);
    let level = if allowed < ASKED { Level::Warning } else { Level::Ok };
    let found = format!("net.core.somaxconn is {}", grouped(allowed));
    let means = format!(
        "{} connections may wait for each core, which asks for {}; who comes beyond tries again a \
         second later",
        grouped(queued),
        grouped(ASKED)
    );
    Finding::new(CHECK, level, found, means)
        .mended_by(&[mend("sysctl", "sysctl -w net.core.somaxconn=4096")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_than_a_core_asks_for_is_worth_a_word() {
        assert_eq!(judge(4_096).level(), Level::Ok);
        let short = judge(128);
        assert_eq!(short.level(), Level::Warning);
        assert!(short.to_text().contains("128 connections may wait for each core"));
        assert_eq!(ASKED, 4_096, "the line that mends names it");
    }
}
