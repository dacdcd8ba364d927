//! A core's inbox: commands are pushed, then the core is notified. A lost one shows as a deadlock.
//!
//! `Signal` is the one that ships. The queue is crossbeam's, into which loom cannot see: a list behind
//! a lock stands for it, and the steps are those of `Engine::drain` and of `Core::run`.
#![cfg(fanfare_loom)]

use fanfare::log::signal::Signal;
use loom::{
    sync::{Arc, Mutex, Notify},
    thread,
};

struct Inbox {
    commands: Mutex<Vec<u8>>,
    signal: Signal,
    wake: Notify,
}

impl Inbox {
    fn new() -> Arc<Self> {
        let commands = Mutex::new(Vec::new());
        Arc::new(Self { commands, signal: Signal::new(), wake: Notify::new() })
    }

    fn push(&self, command: u8) {
        self.commands.lock().unwrap().push(command);
        if self.signal.notify() {
            self.wake.notify();
        }
    }

    /// Turns as a core takes them, until that many commands have been obeyed.
    fn obey(&self, count: usize) {
        let mut obeyed = 0;
        while obeyed < count {
            obeyed += std::mem::take(&mut *self.commands.lock().unwrap()).len();
            // Frames that this announces would be planned now.
            self.signal.take();
            let has_work = obeyed == count || !self.commands.lock().unwrap().is_empty();
            if !has_work && self.signal.park() {
                self.wake.wait();
                self.signal.unpark();
            }
        }
    }
}

#[test]
fn a_core_never_sleeps_through_a_command() {
    loom::model(|| {
        let inbox = Inbox::new();
        let sender = Arc::clone(&inbox);
        let sender = thread::spawn(move || sender.push(1));
        inbox.obey(1);
        sender.join().unwrap();
    });
}

/// The notification of a frame may take that of a command along, not the command.
#[test]
fn a_command_and_a_frame_at_once_are_both_seen() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let inbox = Inbox::new();
        let (sender, publisher) = (Arc::clone(&inbox), Arc::clone(&inbox));
        let sender = thread::spawn(move || sender.push(1));
        let publisher = thread::spawn(move || {
            if publisher.signal.notify() {
                publisher.wake.notify();
            }
        });
        inbox.obey(1);
        sender.join().unwrap();
        publisher.join().unwrap();
    });
}
