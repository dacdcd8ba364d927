//! The machine: what it is, and how a program is given one of its CPUs.

use std::{env, fs, process::Command, thread};

use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};
use serde::{Deserialize, Serialize};

/// What a figure was measured on.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Machine {
    pub(crate) kernel: String,
    pub(crate) cpu: String,
    pub(crate) cpus: usize,
    pub(crate) memory_gib: f64,
    pub(crate) rustc: String,
    /// Programs that wanted a CPU, on average of a minute, before the first run and after the last.
    pub(crate) load: [String; 2],
}

impl Machine {
    /// This one.
    pub(crate) fn here() -> Self {
        let file = |path| fs::read_to_string(path).unwrap_or_default();
        let memory_kib = line_value(&file("/proc/meminfo"), "MemTotal")
            .and_then(|value| value.split(' ').next()?.parse::<f64>().ok());
        Self {
            kernel: file("/proc/sys/kernel/osrelease").trim().to_owned(),
            cpu: line_value(&file("/proc/cpuinfo"), "model name").unwrap_or("unknown").to_owned(),
            cpus: thread::available_parallelism().map_or(1, usize::from),
            memory_gib: memory_kib.unwrap_or_default() / (1 << 20) as f64,
            rustc: rustc(),
            load: [load(), String::new()],
        }
    }

    /// Notes how busy the machine is at the end.
    pub(crate) fn finish(&mut self) {
        self.load[1] = load();
    }
}

/// Lets this process, and all that it starts, have as many open files as it may.
///
/// # Errors
/// In words, when the system refuses.
pub(crate) fn raise_files() -> Result<(), String> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).map_err(|error| format!("raising RLIMIT_NOFILE: {error}"))
}

/// Runs `work` with this thread, and what it starts, on one CPU; the thread's own CPUs come back
/// afterwards.
///
/// # Errors
/// When there is no such CPU for this process.
pub(crate) fn pinned<T>(cpu: usize, work: impl FnOnce() -> T) -> Result<T, String> {
    let before =
        sched_getaffinity(None).map_err(|error| format!("reading the CPU set: {error}"))?;
    if cpu >= CpuSet::MAX_CPU {
        return Err(format!("there is no CPU {cpu}"));
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).map_err(|error| format!("pinning to CPU {cpu}: {error}"))?;
    let result = work();
    sched_setaffinity(None, &before).map_err(|error| format!("restoring the CPU set: {error}"))?;
    Ok(result)
}

/// Of `name : value`, as /proc has it, the value.
fn line_value<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines
        .map(|(key, value)| (key.trim(), value.trim()))
        .find(|(key, _)| *key == name)
        .map(|it| it.1)
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn rustc() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    // Of "rustc 1.95.0 (hash date)" the number.
    text.ok()
        .and_then(|text| Some(text.split(' ').nth(1)?.to_owned()))
        .unwrap_or_else(|| "?".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_says_what_it_is() {
        let machine = Machine::here();
        assert!(machine.kernel.contains('.') && machine.memory_gib > 0.1, "{machine:?}");
        assert_eq!(line_value("a\t: b c \nd: e", "a"), Some("b c"));
        assert_eq!(line_value("a\t: b", "b"), None);
    }

    #[test]
    fn pinning_is_undone() {
        let cpus = || sched_getaffinity(None).expect("readable").count();
        let before = cpus();
        let first = (0..CpuSet::MAX_CPU)
            .find(|&cpu| sched_getaffinity(None).is_ok_and(|set| set.is_set(cpu)));
        assert_eq!(pinned(first.expect("one at least"), cpus), Ok(1));
        assert_eq!(cpus(), before);
        assert!(pinned(CpuSet::MAX_CPU, cpus).is_err());
    }
}
