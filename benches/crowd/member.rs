//! A process of subscribers: one thread that opens connections, reads them by epoll, and does what
//! it is told, line by line.

use std::{
    fmt::Display,
    io::{BufRead, Write},
    net::{Ipv4Addr, SocketAddrV4, TcpStream},
    os::fd::OwnedFd,
    process::ExitCode,
    time::Duration,
};

use rustix::{
    event::{Timespec, epoll},
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, recv, send,
        socket_with, sockopt,
    },
};
use serde::Serialize;

use super::{
    floor::Floor,
    members::Place,
    proc,
    stream::{Books, State, Stream},
    wire::{self, Command, Connected, Pace, Plan, Reads, now},
};

/// Connections from one source address. The kernel looks for a port in one half of its 28,232 first,
/// and beyond that half each connection costs a search.
pub(super) const CONNECTIONS_PER_SOURCE: usize = 7_500;

/// What an epoll event says that is no connection's.
const COMMANDS: u64 = u64::MAX;

const EVENTS_PER_WAIT: usize = 1024;

/// How often slow readers are looked at.
const SLOW_PERIOD: Duration = Duration::from_millis(50);

/// A rate of opening is kept to within this.
const OPEN_PERIOD: Duration = Duration::from_millis(1);

struct Member {
    epoll: OwnedFd,
    plan: Option<Plan>,
    opening: Option<Opening>,
    streams: Vec<Option<Stream>>,
    awaited: Option<Awaited>,
    books: Books,
    buffer: Vec<u8>,
    slow_at: u64,
    /// Where it accepts instead.
    floor: Option<Floor>,
}

/// Connections on their way in.
struct Opening {
    began: u64,
    under_way: usize,
    failed: u64,
}

struct Awaited {
    deliveries: u64,
    until: u64,
}

/// Runs a member until nobody tells it anything any more.
pub(super) fn run(place: &str) -> ExitCode {
    let place: Place = serde_json::from_str(place).expect("whoever starts it says so");
    proc::pin(place.cpu);
    proc::set_priority(place.priority);
    proc::raise_descriptor_limit();
    Member::new().run();
    ExitCode::SUCCESS
}

impl Opening {
    /// Why is told of the first: the others are many, and alike.
    fn fail(&mut self, why: &dyn Display) {
        self.failed += 1;
        if self.failed == 1 {
            eprintln!("a connection failed: {why}");
        }
    }
}

impl Member {
    fn new() -> Self {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("a descriptor is left");
        let data = epoll::EventData::new_u64(COMMANDS);
        epoll::add(&epoll, std::io::stdin(), data, epoll::EventFlags::IN).expect("it is a pipe");
        Self {
            epoll,
            plan: None,
            opening: None,
            streams: Vec::new(),
            awaited: None,
            books: Books::new(),
            buffer: vec![0; 256 * 1024],
            slow_at: 0,
            floor: None,
        }
    }

    fn run(mut self) {
        let mut ready = Vec::with_capacity(EVENTS_PER_WAIT);
        loop {
            ready.clear();
            let timeout = self.timeout();
            let room = rustix::buffer::spare_capacity(&mut ready);
            match epoll::wait(&self.epoll, room, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => panic!("epoll: {error}"),
            }
            for event in &ready {
                match event.data.u64() {
                    COMMANDS => match next_command() {
                        Some(command) => self.obey(command),
                        None => return self.vanish(),
                    },
                    nth => self.ready(nth as usize),
                }
            }
            self.open();
            self.read_slowly();
            self.answer();
        }
    }

    /// None: it has nothing to do but read.
    fn timeout(&self) -> Option<Timespec> {
        let reads_slowly = self
            .plan
            .as_ref()
            .is_some_and(|plan| matches!(plan.reads, Reads::Drips | Reads::StopsAndGoes));
        let has_rate = self.plan.as_ref().is_some_and(|plan| matches!(plan.pace, Pace::Rate(_)));
        let timeout = if self.opening.is_some() && has_rate {
            OPEN_PERIOD
        } else if reads_slowly || self.awaited.is_some() {
            SLOW_PERIOD
        } else {
            return None;
        };
        Some(timeout.try_into().expect("it is short"))
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Connect(plan) => {
                self.streams = Vec::with_capacity(plan.connections.len());
                self.opening = Some(Opening { began: now(), under_way: 0, failed: 0 });
                self.plan = Some(plan);
            }
            Command::Await { deliveries, within } => {
                let until = now() + within.as_nanos() as u64;
                self.awaited = Some(Awaited { deliveries, until });
            }
            Command::Leave => {
                self.streams = Vec::new();
                say(&());
            }
            Command::Hold => say(&self.floor.insert(Floor::start()).address()),
            Command::Send(round) => {
                say(&self.floor.as_ref().expect("it holds what it sends to").send(&round));
            }
        }
    }

    /// Opens as many connections as the pace allows by now.
    fn open(&mut self) {
        let (Some(plan), Some(opening)) = (self.plan.clone(), &self.opening) else { return };
        let began = opening.began;
        while self.streams.len() < plan.connections.len() {
            let due = match plan.pace {
                Pace::Window(window) if self.under_way() >= window => return,
                Pace::Window(_) => now(),
                Pace::Rate(rate) => {
                    let due = began + (self.streams.len() as f64 / rate * 1e9) as u64;
                    if due > now() {
                        return;
                    }
                    due
                }
            };
            self.open_one(&plan, due);
        }
    }

    fn under_way(&self) -> usize {
        self.opening.as_ref().map_or(0, |opening| opening.under_way)
    }

    fn open_one(&mut self, plan: &Plan, due: u64) {
        let nth = self.streams.len();
        let first = (plan.reads == Reads::FromFirst).then_some(0);
        let topics = plan.topics.of(plan.connections.start + nth);
        let opened = open_socket(plan, nth).and_then(|socket| {
            let data = epoll::EventData::new_u64(nth as u64);
            epoll::add(&self.epoll, &socket, data, epoll::EventFlags::OUT)?;
            Ok(Stream::new(TcpStream::from(socket), due, &topics, first))
        });
        let opening = self.opening.as_mut().expect("it is called while opening");
        match opened {
            Ok(stream) => {
                opening.under_way += 1;
                self.streams.push(Some(stream));
                // Over loopback it is connected by now, as a rule.
                self.ready(nth);
            }
            Err(error) => {
                opening.fail(&error);
                self.streams.push(None);
            }
        }
    }

    /// A connection can be written to, or read.
    fn ready(&mut self, nth: usize) {
        let Some(stream) = self.streams[nth].as_mut() else { return };
        if let State::Connecting(due) = stream.state {
            let plan = self.plan.as_ref().expect("it is connected by a plan");
            match send(&stream.socket, &request(plan, nth), SendFlags::NOSIGNAL) {
                Ok(_) => {
                    stream.state = State::Asking(due);
                    let data = epoll::EventData::new_u64(nth as u64);
                    epoll::modify(&self.epoll, &stream.socket, data, epoll::EventFlags::IN)
                        .expect("it was added");
                }
                Err(Errno::AGAIN | Errno::NOTCONN) => {}
                Err(error) => self.close(nth, &error),
            }
            return;
        }
        let is_new = matches!(stream.state, State::Asking(_));
        let discards = self.plan.as_ref().is_some_and(|plan| plan.reads == Reads::Discards);
        // TCP drops what is read so, without a copy.
        let unseen = if discards && !is_new { RecvFlags::TRUNC } else { RecvFlags::empty() };
        match recv(&stream.socket, &mut self.buffer[..], RecvFlags::DONTWAIT | unseen) {
            Ok((_, 0)) => self.close(nth, &"it has ended"),
            Ok(_) if !unseen.is_empty() => {}
            Ok((_, count)) => {
                stream.take(&self.buffer[..count], now(), &mut self.books);
                match stream.state {
                    State::Over => self.close(nth, &"it was refused, or ended in order"),
                    State::Subscribed if is_new => self.subscribed(nth),
                    _ => {}
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => self.close(nth, &error),
        }
    }

    /// A connection's head is in.
    fn subscribed(&mut self, nth: usize) {
        self.opening.as_mut().expect("none is new later").under_way -= 1;
        let stream = self.streams[nth].as_ref().expect("it was read");
        match self.plan.as_ref().expect("it is connected by a plan").reads {
            Reads::FromFirst | Reads::FromHere | Reads::Discards => {}
            Reads::Leaves => self.streams[nth] = None,
            Reads::Never | Reads::Drips | Reads::StopsAndGoes => {
                epoll::delete(&self.epoll, &stream.socket).expect("it was added");
            }
        }
    }

    /// A connection has ended, or was not made.
    fn close(&mut self, nth: usize, why: &dyn Display) {
        let Some(stream) = self.streams[nth].take() else { return };
        match (&mut self.opening, stream.state) {
            // One that is refused was new, and while any is new they are being opened.
            (Some(opening), State::Connecting(_) | State::Asking(_) | State::Over) => {
                opening.under_way -= 1;
                opening.fail(&why);
            }
            _ => self.books.faults.ended += 1,
        }
    }

    fn read_slowly(&mut self) {
        let Some(plan) = &self.plan else { return };
        let at = now();
        let (period, most) = match plan.reads {
            Reads::Drips => (1_000_000_000, 1),
            Reads::StopsAndGoes if (at / 1_000_000_000).is_multiple_of(4) => {
                (SLOW_PERIOD.as_nanos() as u64, self.buffer.len())
            }
            _ => return,
        };
        if at < self.slow_at + period || self.opening.is_some() {
            return;
        }
        self.slow_at = at;
        for stream in &mut self.streams {
            let Some(open) = stream else { continue };
            match recv(&open.socket, &mut self.buffer[..most], RecvFlags::DONTWAIT) {
                Err(Errno::AGAIN) => {}
                Ok((_, count)) if count > 0 => {
                    open.take(&self.buffer[..count], now(), &mut self.books);
                }
                _ => {
                    *stream = None;
                    self.books.faults.ended += 1;
                }
            }
        }
    }

    /// Answers what is over.
    fn answer(&mut self) {
        let is_open = |plan: &Plan| self.streams.len() == plan.connections.len();
        if self.under_way() == 0
            && self.plan.as_ref().is_some_and(is_open)
            && let Some(opening) = self.opening.take()
        {
            let first_byte = wire::counts(&self.books.first_byte);
            self.books.first_byte.reset();
            let Opening { began, failed, .. } = opening;
            say(&Connected { began, ended: now(), first_byte, failed });
        }
        let is_over = |awaited: &mut Awaited| {
            self.books.deliveries >= awaited.deliveries || now() >= awaited.until
        };
        if self.awaited.take_if(is_over).is_some() {
            say(&self.books.close());
        }
    }

    /// Leaves no connection behind that waits for its last segments: their ports are wanted again.
    fn vanish(self) {
        for stream in self.streams.into_iter().flatten() {
            // One that is reset already has nothing to linger for.
            let _ = sockopt::set_socket_linger(&stream.socket, Some(Duration::ZERO));
        }
    }
}

/// None when nobody is there any more.
fn next_command() -> Option<Command> {
    let mut line = String::new();
    let count = std::io::stdin().lock().read_line(&mut line).expect("it is a pipe");
    (count > 0).then(|| serde_json::from_str(&line).expect("whoever starts it knows commands"))
}

fn say(answer: &impl Serialize) {
    let line = serde_json::to_string(answer).expect("answers are plain");
    let mut out = std::io::stdout().lock();
    // Whoever is not there to hear it has closed the other pipe too.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn open_socket(plan: &Plan, nth: usize) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    if let Some(bytes) = plan.receive_buffer {
        sockopt::set_socket_recv_buffer_size(&socket, bytes)?;
    }
    bind(&socket, &SocketAddrV4::new(source(plan.source, nth), 0))?;
    match connect(&socket, &plan.servers[nth % plan.servers.len()]) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error),
    }
}

/// Where a member's connection comes from: 127.1.0.1 and up.
fn source(first: u32, nth: usize) -> Ipv4Addr {
    let number = first + (nth / CONNECTIONS_PER_SOURCE) as u32;
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + number)
}

fn request(plan: &Plan, nth: usize) -> Vec<u8> {
    let topics = plan.topics.of(plan.connections.start + nth);
    let topics: Vec<String> = topics.iter().map(|topic| format!("topic={topic}")).collect();
    format!("GET /events?{} HTTP/1.1\r\nHost: crowd\r\n\r\n", topics.join("&")).into_bytes()
}
