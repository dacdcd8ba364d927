//! Whether io_uring is to be had, by the engine's own probe, and who denies it.

use fanfare::{DriverChoice, engine::StartError};
use rustix::{
    process::{Resource, getrlimit},
    system::uname,
};

use super::{
    finding::{Finding, Level, Mend, grouped, mend},
    proc,
};

const CHECK: &str = "io_uring";

/// What a core's ring takes of the memory that may be locked: see ARCHITECTURE.md, choices.
const RING_LOCKED_BYTES: u64 = 56 * 1024;

const CAP_IPC_LOCK: u32 = 14;

/// What may deny it, and the system that does.
#[derive(Clone, Debug)]
struct Surroundings {
    kernel: String,
    /// `kernel.io_uring_disabled`: 1 leaves it to a group, 2 to nobody.
    disabled: Option<u32>,
    /// Whether a system-call filter is in force, as containers have one.
    filtered: bool,
    /// Bytes that may be locked; none is no limit.
    lockable: Option<u64>,
    cores: u64,
}

pub(super) fn check() -> Finding {
    let here = Surroundings::look();
    match DriverChoice::Uring.resolve() {
        Ok(_) => judge_allowed(&here),
        Err(StartError::Uring(reason)) => judge_denied(&reason, &here),
        Err(other) => Finding::unknown(CHECK, other.to_string()),
    }
}

impl Surroundings {
    fn look() -> Self {
        let may_lock = proc::status("CapEff")
            .and_then(|hex| u64::from_str_radix(&hex, 16).ok())
            .is_some_and(|effective| effective & 1 << CAP_IPC_LOCK != 0);
        let limit = getrlimit(Resource::Memlock).current;
        Self {
            kernel: uname().release().to_string_lossy().into_owned(),
            disabled: proc::number("/proc/sys/kernel/io_uring_disabled"),
            filtered: proc::status("Seccomp").as_deref() == Some("2"),
            lockable: limit.filter(|_| !may_lock),
            cores: std::thread::available_parallelism().map_or(1, |count| count.get() as u64),
        }
    }
}

/// A ring can be had: whether each core can have one.
fn judge_allowed(here: &Surroundings) -> Finding {
    let found = format!("works, on Linux {}", here.kernel);
    let needed = here.cores * RING_LOCKED_BYTES;
    let Some(lockable) = here.lockable else {
        return Finding::ok(CHECK, found, "its memory is not bounded");
    };
    let level = if lockable < needed { Level::Warning } else { Level::Ok };
    let means = format!(
        "{} KiB may be locked, and a ring for each of {} CPUs takes {} KiB{}",
        grouped(lockable >> 10),
        here.cores,
        grouped(needed >> 10),
        if lockable < needed { ": epoll would serve" } else { "" }
    );
    Finding::new(CHECK, level, found, means).mended_by(&MEMORY)
}

/// It works without, and so this is never more than a warning.
fn judge_denied(reason: &str, here: &Surroundings) -> Finding {
    let (why, mends): (String, &[Mend]) = if reason.contains("RLIMIT_MEMLOCK") {
        ("too little memory may be locked".into(), &MEMORY)
    } else if let Some(disabled @ 1..) = here.disabled {
        (format!("kernel.io_uring_disabled is {disabled}"), &SYSCTL)
    } else if reason.contains("IORING_") || reason.contains("os error 38") && !here.filtered {
        (format!("Linux {} is older than 6.8, or was built without it", here.kernel), &KERNEL)
    } else if here.filtered {
        ("a system-call filter (seccomp) is in force here".into(), &FILTER)
    } else {
        (format!("on Linux {}", here.kernel), &[])
    };
    let means = format!("epoll serves instead, at a few per cent more CPU; {why}");
    Finding::new(CHECK, Level::Warning, format!("denied: {reason}"), means).mended_by(mends)
}

const MEMORY: [Mend; 3] = [
    mend("systemd", "LimitMEMLOCK=64M"),
    mend("docker", "--ulimit memlock=67108864:67108864"),
    mend("shell", "ulimit -l 65536    # as root"),
];

const SYSCTL: [Mend; 1] = [mend("sysctl", "sysctl -w kernel.io_uring_disabled=0")];

const KERNEL: [Mend; 1] = [mend("system", "a kernel of 6.8 or newer, with CONFIG_IO_URING")];

const FILTER: [Mend; 2] = [
    mend(
        "docker",
        "--security-opt seccomp=seccomp-io-uring.json    # packaging/docker/README.md makes it",
    ),
    mend("systemd", "SystemCallFilter=@system-service    # has io_uring in @aio"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Surroundings {
        let (kernel, disabled) = ("6.18.0".to_owned(), Some(0));
        Surroundings { kernel, disabled, filtered: false, lockable: None, cores: 64 }
    }

    #[track_caller]
    fn check_denied(reason: &str, here: &Surroundings, why: &str, line: &str) {
        let finding = judge_denied(reason, here);
        assert_eq!(finding.level(), Level::Warning);
        let text = finding.to_text();
        assert!(text.contains(reason) && text.contains(why) && text.contains(line), "{text}");
    }

    #[test]
    fn who_denies_is_named_with_the_line_that_mends() {
        let denied = "io_uring_setup: Operation not permitted (os error 1)";
        let off = Surroundings { disabled: Some(2), filtered: true, ..here() };
        check_denied(denied, &off, "kernel.io_uring_disabled is 2", "io_uring_disabled=0");
        let filtered = Surroundings { filtered: true, ..here() };
        check_denied(denied, &filtered, "seccomp", "--security-opt seccomp=");
        let old = "this kernel has no IORING_OP_FIXED_FD_INSTALL";
        check_denied(old, &here(), "older than 6.8", "6.8 or newer");
        let short =
            "io_uring_setup: its rings exceed what may be locked (ulimit -l, RLIMIT_MEMLOCK)";
        check_denied(short, &here(), "may be locked", "LimitMEMLOCK=");
        check_denied("self-test: accepting", &here(), "on Linux 6.18.0", "");
    }

    #[test]
    fn memory_for_one_ring_is_not_memory_for_all() {
        assert_eq!(judge_allowed(&here()).level(), Level::Ok);
        let usual = Surroundings { lockable: Some(8 << 20), ..here() };
        assert_eq!(judge_allowed(&usual).level(), Level::Ok);
        let short = Surroundings { lockable: Some(1 << 20), ..here() };
        let text = judge_allowed(&short).to_text();
        assert!(text.starts_with("warning") && text.contains("64 CPUs takes 3,584 KiB"), "{text}");
    }
}
