//! What a core is told, by any thread, until it ends.

use std::sync::atomic::{AtomicBool, Ordering, fence};

use crossbeam::queue::ArrayQueue;

use super::core::Command;
use crate::limits;

/// The commands that wait for a core. Once it has ended none does: whoever asked something learns of it,
/// because what its answer would come by is dropped with the question.
#[derive(Debug)]
pub(super) struct Commands {
    queue: ArrayQueue<Command>,
    has_ended: AtomicBool,
}

/// Ends the commands of a core when it is dropped: however the core ends, by a panic too.
#[derive(Debug)]
pub(super) struct EndsCommands<'c>(pub(super) &'c Commands);

impl Default for Commands {
    fn default() -> Self {
        Self::with_room(limits::COMMAND_QUEUE)
    }
}

impl Commands {
    /// For so many at a time.
    pub(super) fn with_room(count: usize) -> Self {
        Self { queue: ArrayQueue::new(count), has_ended: AtomicBool::new(false) }
    }

    /// Tells the core something. False: too much waits already.
    pub(super) fn push(&self, command: Command) -> bool {
        let has_room = self.queue.push(command).is_ok();
        self.forget_after_the_end();
        has_room
    }

    /// Tells the core something that has room, if need be in the place of the oldest command.
    pub(super) fn force_push(&self, command: Command) {
        self.queue.force_push(command);
        self.forget_after_the_end();
    }

    pub(super) fn pop(&self) -> Option<Command> {
        self.queue.pop()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
        // Either this finds a command in the queue, or who pushes it finds that the core has ended.
        fence(Ordering::SeqCst);
        self.forget_all();
    }

    fn forget_after_the_end(&self) {
        fence(Ordering::SeqCst);
        if self.has_ended.load(Ordering::Relaxed) {
            self.forget_all();
        }
    }

    fn forget_all(&self) {
        while self.queue.pop().is_some() {}
    }
}

impl Drop for EndsCommands<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::{self, Receiver, error::TryRecvError};

    use super::*;
    use crate::engine::{ConnectionPage, inspect::Inquiry};

    fn ask(commands: &Commands) -> Receiver<ConnectionPage> {
        let (reply, answer) = oneshot::channel();
        assert!(commands.push(Command::Inquire(Inquiry::Page { from_slot: 0, reply })));
        answer
    }

    #[test]
    fn who_asks_a_core_that_ends_learns_of_it() {
        let commands = Commands::default();
        let mut before = ask(&commands);
        assert_eq!(before.try_recv().unwrap_err(), TryRecvError::Empty);
        drop(EndsCommands(&commands));
        let mut after = ask(&commands);
        for answer in [&mut before, &mut after] {
            assert_eq!(answer.try_recv().unwrap_err(), TryRecvError::Closed);
        }
        assert!(commands.is_empty());
    }

    #[test]
    fn who_asks_while_a_core_ends_learns_of_it() {
        const ROUNDS: usize = 2_000;
        for _ in 0..ROUNDS {
            let commands = Commands::default();
            let mut answer = std::thread::scope(|scope| {
                scope.spawn(|| drop(EndsCommands(&commands)));
                ask(&commands)
            });
            // Nobody answers: either it is dropped by now, or waits for ever.
            assert_eq!(answer.try_recv().unwrap_err(), TryRecvError::Closed);
        }
    }
}
