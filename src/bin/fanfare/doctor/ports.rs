//! How many connections one address can have to another: what bounds a proxy in front, or a load
//! tester, and never the clients themselves, which have addresses of their own.

use super::{
    finding::{Finding, Level, grouped, mend},
    proc,
};

const CHECK: &str = "ports";

/// What Linux gives by default: 32768 to 60999.
const PORTS_DEFAULT: u64 = 28_232;

pub(super) fn check() -> Finding {
    const FILE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
    match proc::numbers(FILE).as_deref() {
        Some(&[first, last]) if first <= last => judge(first, last),
        _ => Finding::unknown(CHECK, "net.ipv4.ip_local_port_range cannot be read"),
    }
}

fn judge(first: u16, last: u16) -> Finding {
    let count = u64::from(last) - u64::from(first) + 1;
    let level = if count < PORTS_DEFAULT { Level::Warning } else { Level::Ok };
    let found = format!("{first} to {last} (net.ipv4.ip_local_port_range)");
    let means = format!(
        "{} subscribers through a proxy, for each address that it connects from: packaging/ shows \
         how it has several",
        grouped(count)
    );
    Finding::new(CHECK, level, found, means)
        .mended_by(&[mend("sysctl", "sysctl -w net.ipv4.ip_local_port_range=\"16384 60999\"")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_told_as_subscribers() {
        assert_eq!(judge(32_768, 60_999).level(), Level::Ok);
        assert_eq!(judge(1_024, u16::MAX).level(), Level::Ok);
        let few = judge(50_000, 50_999);
        assert_eq!(few.level(), Level::Warning);
        assert!(few.to_text().contains("1,000 subscribers through a proxy"));
    }
}
