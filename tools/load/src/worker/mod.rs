//! A worker: a process that holds its share of the subscribers and audits what they get.
//!
//! It is told what to do on standard input and tells what it counts on standard output (`protocol`).
//! Everything it counts it counts in slices of time that can be added up, so one worker and twenty are
//! told apart by nobody. One thread receives; reading commands and writing slices, which takes time, are
//! the work of two others.

mod audit;
mod crew;
mod framing;
mod link;
mod protocol;
mod proven;
mod scanner;
mod shape;
mod slice;
mod stream;
mod task;
mod watch;

use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, Write};
use std::ops::Range;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc as async_mpsc};
use tokio::time::{sleep, timeout};

pub(crate) use self::audit::Faults;
use self::crew::Crew;
#[cfg(test)]
pub(crate) use self::framing::dechunk;
pub(crate) use self::framing::{Framing, Step};
pub(crate) use self::link::RuntimeChoice;
use self::link::{Driver, Runtime};
pub(crate) use self::protocol::{
    CaughtUp, Command, Connect, Event, Resume, Seen, Setup, Standing, of_topic,
};
pub(crate) use self::shape::EventShape;
pub(crate) use self::slice::{Slice, Tally, Watch};
use self::watch::Watcher;

/// How long the members' tasks may take to end.
const END_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What all tasks of a worker share.
#[derive(Debug)]
struct Worker {
    setup: Setup,
    driver: Driver,
    /// Connections that may be in the making.
    connecting: Semaphore,
    crew: RefCell<Crew>,
    watcher: RefCell<Watcher>,
    /// The books are closed: what ends now is not counted.
    is_over: Cell<bool>,
    events: mpsc::Sender<Event>,
}

/// The work of a worker's process.
///
/// # Errors
/// In words; the coordinator has been told as well.
pub(crate) fn run() -> Result<(), String> {
    let mut lines = io::stdin().lock().lines();
    let first = lines.next().ok_or("a worker is told what the run is")?;
    let first = first.map_err(|error| format!("standard input: {error}"))?;
    drop(lines);
    let Command::Setup(setup) = parse(&first)? else {
        return Err("a worker is first told what the run is".to_owned());
    };
    let (events, outgoing) = mpsc::channel();
    let writer = thread::spawn(move || write_events(&outgoing));
    let outcome = work(*setup, &events);
    if let Err(error) = &outcome {
        let _ = events.send(Event::Failed(error.clone()));
    }
    drop(events);
    let _ = writer.join();
    outcome
}

fn work(setup: Setup, events: &mpsc::Sender<Event>) -> Result<(), String> {
    let (runtime, name) =
        Runtime::build(setup.runtime).map_err(|error| format!("making the runtime: {error}"))?;
    let worker = Rc::new(Worker {
        driver: runtime.driver(),
        connecting: Semaphore::new(setup.connecting as usize),
        crew: RefCell::new(Crew::new(&setup)),
        watcher: RefCell::new(Watcher::new(&setup)),
        is_over: Cell::new(false),
        events: events.clone(),
        setup,
    });
    let (command, commands) = async_mpsc::unbounded_channel();
    thread::spawn(move || read_commands(&command));
    worker.tell(Event::Ready { runtime: name.name.to_owned(), why: name.why });
    runtime.block_on(worker.serve(commands))
}

impl Worker {
    async fn serve(
        self: Rc<Self>,
        mut commands: async_mpsc::UnboundedReceiver<Result<Command, String>>,
    ) -> Result<(), String> {
        tokio::task::spawn_local(watch::watch(Rc::clone(&self)));
        while let Some(command) = commands.recv().await {
            match command? {
                Command::Setup(_) => return Err("a worker is told once what the run is".to_owned()),
                Command::Connect(order) => self.connect(order),
                Command::Kill(members) => self.for_each(&members, Crew::leave),
                Command::Throttle { members, bytes_per_second } => {
                    self.for_each(&members, |crew, place| crew.throttle(place, bytes_per_second));
                }
                Command::Flush => {
                    self.send_slice(true);
                    self.tell_standing();
                    self.tell(Event::Flushed);
                }
                Command::TellFirst => {
                    let first = self.crew.borrow().shared.first_seen();
                    self.tell(Event::First(first));
                }
                Command::Finish { published } => {
                    self.finish(published).await;
                    return Ok(());
                }
            }
        }
        // The coordinator has gone: so do all connections, with this process.
        Ok(())
    }

    fn connect(self: &Rc<Self>, order: Connect) {
        let order = Rc::new(order);
        self.for_each(&order.members, |crew, place| {
            if crew.call(place) {
                tokio::task::spawn_local(task::stay(Rc::clone(self), place, Rc::clone(&order)));
            }
        });
    }

    /// Does something for those of `members` that are this worker's.
    fn for_each(&self, members: &Range<u32>, mut act: impl FnMut(&mut Crew, usize)) {
        let mut crew = self.crew.borrow_mut();
        let (worker, workers) = (self.setup.worker, self.setup.workers);
        let first = members.start.saturating_sub(worker).div_ceil(workers) as usize;
        let end = members.end.saturating_sub(worker).div_ceil(workers) as usize;
        for place in first..end.min(crew.len()) {
            act(&mut crew, place);
        }
    }

    /// The number in the run of the member at `place`.
    fn number(&self, place: usize) -> u32 {
        self.setup.worker + place as u32 * self.setup.workers
    }

    async fn sleep_until(&self, ns: u64) {
        let now_ns = self.setup.clock.now_ns();
        if ns > now_ns {
            sleep(Duration::from_nanos(ns - now_ns)).await;
        }
    }

    async fn finish(&self, published: u64) {
        // Before the connections end: what they lose from now on is no fault.
        self.send_slice(true);
        let topics = self.setup.topics.len() as u64;
        let faults = self.crew.borrow().close(published, topics);
        self.is_over.set(true);
        self.for_each(&(0..u32::MAX), Crew::leave);
        let _ = timeout(END_WITHIN, async {
            while self.crew.borrow().present() > 0 {
                sleep(LOOK_EVERY).await;
            }
        })
        .await;
        self.tell(Event::Closed { faults });
    }

    /// Sends what was counted; with `all`, the events that have not reached everybody too.
    fn send_slice(&self, all: bool) {
        let now_ns = self.setup.clock.now_ns();
        let mut crew = self.crew.borrow_mut();
        let shapes = crew.shared.followed.take(now_ns, all);
        let slice = self.watcher.borrow_mut().slice(&mut crew, shapes, now_ns);
        self.tell(Event::Slice(Box::new(slice)));
    }

    /// Without a coordinator there is nobody to tell.
    fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

fn read_commands(commands: &async_mpsc::UnboundedSender<Result<Command, String>>) {
    for line in io::stdin().lock().lines() {
        let command = line.map_err(|error| format!("standard input: {error}"));
        if commands.send(command.and_then(|line| parse(&line))).is_err() {
            return;
        }
    }
}

fn parse(line: &str) -> Result<Command, String> {
    serde_json::from_str(line).map_err(|error| format!("not a command: {error}"))
}

fn write_events(events: &mpsc::Receiver<Event>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for event in events {
        serde_json::to_writer(&mut out, &event)?;
        out.write_all(b"\n")?;
        out.flush()?;
    }
    Ok(())
}
