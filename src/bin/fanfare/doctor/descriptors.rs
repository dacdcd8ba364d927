//! How many sockets may be open: what most often bounds the number of subscribers.

use fanfare::limits;
use rustix::process::{Resource, getrlimit};

use super::{
    finding::{Finding, Level, grouped, mend},
    proc,
};

const CHECK: &str = "descriptors";

/// Fewer leave no room for anybody.
const DESCRIPTORS_MIN: u64 = limits::DESCRIPTORS_RESERVED as u64;

/// As many as ports that one address of a proxy can have, and some: fewer are worth a word.
const DESCRIPTORS_PLENTY: u64 = 65_536;

pub(super) fn check() -> Finding {
    // The server raises its soft limit to the hard one.
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    judge(hard, proc::number("/proc/sys/fs/file-max"))
}

fn judge(hard: u64, all_processes: Option<u64>) -> Finding {
    let limit = all_processes.map_or(hard, |all| all.min(hard));
    let level = match limit {
        _ if limit <= DESCRIPTORS_MIN => Level::Problem,
        _ if limit < DESCRIPTORS_PLENTY => Level::Warning,
        _ => Level::Ok,
    };
    let whose = if limit < hard { "fs.file-max, of all processes" } else { "the hard limit here" };
    let found = format!("{} may be open ({whose})", grouped(limit));
    let over_epoll = limit - (limits::DESCRIPTORS_RESERVED as u64).min(limit / 4);
    let over_uring = limit - (limits::SOCKETS_TO_REFUSE_WITH as u64).min(limit / 2);
    let means = format!(
        "about {} subscribers over epoll, or {} on each core over io_uring",
        grouped(over_epoll),
        grouped(over_uring)
    );
    let finding = Finding::new(CHECK, level, found, means);
    if limit < hard {
        return finding.mended_by(&[mend("sysctl", "sysctl -w fs.file-max=4194304")]);
    }
    finding.mended_by(&[
        mend("systemd", "LimitNOFILE=1048576"),
        mend("docker", "--ulimit nofile=1048576:1048576"),
        mend(
            "shell",
            "ulimit -n 1048576    # as root; `sysctl fs.nr_open` is the most there can be",
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_told_as_subscribers() {
        let few = judge(20_000, Some(u64::MAX));
        assert_eq!(few.level(), Level::Warning);
        let text = few.to_text();
        assert!(text.contains("about 18,976 subscribers over epoll, or 19,936 on each"), "{text}");
        assert!(text.contains("LimitNOFILE="), "{text}");
        assert_eq!(judge(1_024, None).level(), Level::Problem);
        assert_eq!(judge(0, None).level(), Level::Problem);
        assert_eq!(judge(1 << 20, None).level(), Level::Ok);
        let shared = judge(1 << 20, Some(10_000)).to_text();
        assert!(shared.contains("10,000") && shared.contains("fs.file-max="), "{shared}");
    }
}
