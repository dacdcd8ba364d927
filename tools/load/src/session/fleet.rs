//! The workers as the coordinator sees them: started, told, listened to, ended.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command as Process, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::worker::{Command, Event, Setup};

/// How long a worker may take to end by itself.
const END_WITHIN: Duration = Duration::from_secs(6);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The workers of a run; they end with this value.
#[derive(Debug)]
pub(super) struct Fleet {
    workers: Vec<Member>,
    events: Receiver<(usize, Event)>,
}

#[derive(Debug)]
struct Member {
    child: Child,
    commands: Option<ChildStdin>,
}

impl Fleet {
    /// Starts a worker for each setup. They tell when they are ready.
    ///
    /// # Errors
    /// In words, when one cannot be started.
    pub(super) fn start(setups: &[Setup]) -> Result<Self, String> {
        let (heard, events) = mpsc::channel();
        let mut fleet = Self { workers: Vec::new(), events };
        for setup in setups {
            fleet.workers.push(Member::start(setup.worker as usize, &heard)?);
            let command = Command::Setup(Box::new(setup.clone()));
            fleet.tell_one(fleet.workers.len() - 1, &command)?;
        }
        Ok(fleet)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.workers.len()
    }

    /// Tells all of them the same.
    pub(super) fn tell(&mut self, command: &Command) -> Result<(), String> {
        (0..self.workers.len()).try_for_each(|worker| self.tell_one(worker, command))
    }

    /// The next event, and whose it is; `None`: none within `timeout`.
    ///
    /// # Errors
    /// In words, when all workers have gone.
    pub(super) fn hear(&self, timeout: Duration) -> Result<Option<(usize, Event)>, String> {
        match self.events.recv_timeout(timeout) {
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err("all workers have ended".to_owned()),
        }
    }

    fn tell_one(&mut self, worker: usize, command: &Command) -> Result<(), String> {
        let line = serde_json::to_string(command).map_err(|error| error.to_string())? + "\n";
        let commands = self.workers[worker].commands.as_mut();
        let commands = commands.ok_or("a worker that has been let go is told nothing")?;
        commands
            .write_all(line.as_bytes())
            .and_then(|()| commands.flush())
            .map_err(|error| format!("worker {worker} is gone: {error}"))
    }
}

impl Member {
    fn start(worker: usize, heard: &Sender<(usize, Event)>) -> Result<Self, String> {
        let program =
            std::env::current_exe().map_err(|error| format!("finding this program: {error}"))?;
        let mut child = Process::new(program)
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("starting worker {worker}: {error}"))?;
        let commands = child.stdin.take();
        let told = child.stdout.take().ok_or("a worker has no output")?;
        let heard = heard.clone();
        thread::spawn(move || {
            for line in BufReader::new(told).lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or_else(|error| {
                    Event::Failed(format!("it said what makes no sense: {error}"))
                });
                if heard.send((worker, event)).is_err() {
                    return;
                }
            }
            let _ = heard.send((worker, Event::Gone));
        });
        Ok(Self { child, commands })
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            // Its input ends, and so does it.
            worker.commands = None;
        }
        let deadline = Instant::now() + END_WITHIN;
        for worker in &mut self.workers {
            while matches!(worker.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                thread::sleep(LOOK_EVERY);
            }
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
    }
}
