//! Looks at what a server costs, again and again, on a thread of its own: a look at the memory walks the
//! process's page tables.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Usage;
use crate::clock::Clock;

/// What was seen at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at_ns: u64,
    pub(crate) usage: Usage,
}

/// A thread that looks.
#[derive(Debug)]
pub(crate) struct Sampler {
    stop: Sender<()>,
    thread: JoinHandle<Vec<Sample>>,
}

impl Sampler {
    /// Looks at `pids` every so often. A look that fails, as at a server that has crashed, is left out.
    pub(crate) fn start(pids: Vec<u32>, clock: Clock, every: Duration) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut samples = Vec::new();
            loop {
                let at_ns = clock.now_ns();
                samples.extend(Usage::read(&pids).ok().map(|usage| Sample { at_ns, usage }));
                if stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                    return samples;
                }
            }
        });
        Self { stop, thread }
    }

    /// Stops looking. What was seen.
    pub(crate) fn finish(self) -> Vec<Sample> {
        drop(self.stop);
        self.thread.join().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_more_than_once() {
        let clock = Clock::start();
        let sampler = Sampler::start(vec![std::process::id()], clock, Duration::from_millis(1));
        thread::sleep(Duration::from_millis(100));
        let samples = sampler.finish();
        assert!(samples.len() > 1 && samples.is_sorted_by_key(|sample| sample.at_ns));
    }
}
