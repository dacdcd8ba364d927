//! A program that is started for a run, and ended by its process id.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::machine;

const END_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running program; it ends with this value, and with it all that it has started.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` on `cpu`, in `home`, where what it says is kept.
    ///
    /// # Errors
    /// In words, when it cannot be started.
    pub(crate) fn start(mut command: Command, cpu: usize, home: &Path) -> Result<Self, String> {
        let program = command.get_program().to_string_lossy().into_owned();
        let name = Path::new(&program).file_name().unwrap_or_default();
        let log = home.join(name).with_extension("log");
        let file = |error| format!("{}: {error}", log.display());
        let output = File::create(&log).map_err(file)?;
        command.stdin(Stdio::null()).stdout(output.try_clone().map_err(file)?).stderr(output);
        // A group of its own, so that nothing it has started outlives it. A child inherits the CPU set of
        // the thread that starts it.
        command.current_dir(home).process_group(0);
        let child = machine::pinned(cpu, || command.spawn())?
            .map_err(|error| format!("starting {program}: {error}"))?;
        Ok(Self { child, log })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it has ended, and the last that it said; none: it runs.
    pub(crate) fn end(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok()??;
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("without a word");
        Some(format!("it ended, {status}: {last}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else { return };
        if matches!(self.child.try_wait(), Ok(None)) {
            // Not yet waited for, so the id is still this child's.
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + END_WITHIN;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(LOOK_EVERY);
        }
        // Those of its group that are left; as a rule there are none.
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_has_started_ends_with_it() {
        let home = tempfile::tempdir().expect("a folder");
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & echo $! > child; wait"]);
        let process = Process::start(command, 0, home.path()).expect("sh is there");
        let child = loop {
            let text = fs::read_to_string(home.path().join("child")).unwrap_or_default();
            if let Ok(child) = text.trim().parse::<u32>() {
                break child;
            }
            thread::sleep(LOOK_EVERY);
        };
        drop(process);
        let deadline = Instant::now() + END_WITHIN;
        loop {
            let state = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            // Ended, it may still wait for its new parent to look at it.
            if state.is_empty() || state.contains(") Z") {
                break;
            }
            assert!(Instant::now() < deadline, "{state}");
            thread::sleep(LOOK_EVERY);
        }
    }

    #[test]
    fn the_last_words_are_kept() {
        let home = tempfile::tempdir().expect("a folder");
        let mut command = Command::new("sh");
        command.args(["-c", "echo first; echo no such port >&2; exit 3"]);
        let mut process = Process::start(command, 0, home.path()).expect("sh is there");
        let end = loop {
            match process.end() {
                Some(end) => break end,
                None => thread::sleep(LOOK_EVERY),
            }
        };
        assert!(end.contains("no such port") && end.contains('3'), "{end}");
    }
}
