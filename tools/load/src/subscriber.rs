//! A subscriber: one task that connects, subscribes, and feeds what it reads to its stream.
//!
//! All subscribers of a thread form a [`Crew`]: they share one receive buffer, one set of counters
//! and one cache of proven frames, borrowed only between two waits.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::framing::Framing;
use crate::http;
use crate::link::{Driver, Link};
use crate::machine;
use crate::stream::{Flow, Shared, Stream};

/// Bytes of one read: large enough that a read brings many events, small enough to stay in cache.
const READ_BYTES: usize = 64 * 1024;
/// Full reads before the other subscribers get their turn.
const READS_PER_TURN: usize = 4;

/// What every subscriber needs to know.
#[derive(Debug)]
pub(crate) struct Plan {
    /// How many there are.
    pub(crate) subscribers: u32,
    /// The server.
    pub(crate) address: SocketAddr,
    /// What to ask for.
    pub(crate) request: Vec<u8>,
    /// The run's clock.
    pub(crate) clock: Clock,
    /// Who waits for the sockets.
    pub(crate) driver: Driver,
    /// Connections that may be in the making.
    pub(crate) connecting: Semaphore,
}

/// All subscribers of one thread.
#[derive(Debug)]
pub(crate) struct Crew {
    /// What their streams share.
    pub(crate) shared: Shared,
    /// Each of them.
    pub(crate) members: Vec<Member>,
    /// How many have been ready.
    pub(crate) ready: u32,
    /// How many have ended, whatever the reason.
    pub(crate) ended: u32,
    /// Set before the connections are ended by this side.
    pub(crate) finishing: bool,
    buffer: Vec<u8>,
}

/// One subscriber.
#[derive(Debug, Default)]
pub(crate) struct Member {
    /// Its connection, while there is one.
    link: Option<Rc<Link>>,
    /// The response head, as far as it has come.
    head: Vec<u8>,
    /// Its stream, once the head is complete.
    pub(crate) stream: Option<Stream>,
    /// From the start of the connection to the response head.
    pub(crate) connect_ns: u64,
    /// Why it ended, when this side did not want it to.
    pub(crate) fault: Option<String>,
}

impl Crew {
    /// `subscribers` of them, none connected.
    pub(crate) fn new(subscribers: u32, shared: Shared) -> Rc<RefCell<Self>> {
        let members = (0..subscribers).map(|_| Member::default()).collect();
        let buffer = vec![0; READ_BYTES];
        Rc::new(RefCell::new(Self {
            shared,
            members,
            ready: 0,
            ended: 0,
            finishing: false,
            buffer,
        }))
    }

    /// Ends all connections from this side, which wakes and ends their tasks.
    pub(crate) fn finish(&mut self) {
        self.finishing = true;
        for link in self.members.iter().filter_map(|member| member.link.as_ref()) {
            let _ = link.stop_reading();
        }
    }

    /// The first connection that failed before it was ready.
    pub(crate) fn first_failure(&self) -> Option<&str> {
        let failed = self.members.iter().filter(|member| member.stream.is_none());
        failed.filter_map(|member| member.fault.as_deref()).next()
    }

    fn end(&mut self, index: u32, outcome: io::Result<()>) {
        let finishing = self.finishing;
        let member = &mut self.members[index as usize];
        member.link = None;
        if !finishing {
            member.fault = Some(match outcome {
                Ok(()) => "the server ended the stream".to_owned(),
                Err(error) => error.to_string(),
            });
        }
        self.ended += 1;
    }

    /// Reads what has come for one member, up to its fair share. Tells whether more may come.
    fn read_turn(&mut self, index: u32, link: &Link, clock: Clock) -> io::Result<bool> {
        for _ in 0..READS_PER_TURN {
            let len = match link.try_read(&mut self.buffer) {
                Ok(0) => return Ok(false),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if self.take_in(index, len, clock.now_ns())? == Flow::Ended {
                return Ok(false);
            }
            if len < self.buffer.len() {
                break;
            }
        }
        Ok(true)
    }

    /// Takes in the first `len` bytes of the buffer.
    fn take_in(&mut self, index: u32, len: usize, now_ns: u64) -> io::Result<Flow> {
        let Self { shared, members, buffer, .. } = self;
        let member = &mut members[index as usize];
        let bytes = &buffer[..len];
        let flow = match &mut member.stream {
            Some(stream) => stream.feed(bytes, now_ns, shared),
            None => {
                let flow = member.take_in_head(index, bytes, now_ns, shared)?;
                self.ready += u32::from(member.stream.is_some());
                flow
            }
        };
        match flow {
            Flow::Broken => Err(http::invalid("the stream makes no sense any more")),
            flow => Ok(flow),
        }
    }
}

impl Member {
    fn take_in_head(
        &mut self,
        index: u32,
        bytes: &[u8],
        now_ns: u64,
        shared: &mut Shared,
    ) -> io::Result<Flow> {
        self.head.extend_from_slice(bytes);
        let Some(head) = http::parse_head(&self.head)? else { return Ok(Flow::Open) };
        if head.status != 200 {
            return Err(http::invalid(&format!("the server refuses with status {}", head.status)));
        }
        if head.content_type != "text/event-stream" {
            let found = head.content_type;
            return Err(http::invalid(&format!("not an event stream but \"{found}\"")));
        }
        let framing = if head.chunked { Framing::chunked() } else { Framing::UntilClose };
        let stream = self.stream.insert(Stream::new(index, framing));
        let received = std::mem::take(&mut self.head);
        Ok(stream.feed(&received[head.len..], now_ns, shared))
    }
}

/// The task of subscriber `index`, from its connection to its end.
pub(crate) async fn subscribe(plan: Rc<Plan>, crew: Rc<RefCell<Crew>>, index: u32) {
    let outcome = run(&plan, &crew, index).await;
    crew.borrow_mut().end(index, outcome);
}

async fn run(plan: &Plan, crew: &RefCell<Crew>, index: u32) -> io::Result<()> {
    let permit = plan.connecting.acquire().await.map_err(io::Error::other)?;
    let start_ns = plan.clock.now_ns();
    let link = connect(plan, index).await?;
    crew.borrow_mut().members[index as usize].link = Some(Rc::clone(&link));
    send(&link, &plan.request).await?;
    while crew.borrow().members[index as usize].stream.is_none() {
        if !read_once(plan, crew, index, &link).await? {
            return Err(http::invalid("the server closed before its response head"));
        }
    }
    crew.borrow_mut().members[index as usize].connect_ns = plan.clock.now_ns() - start_ns;
    drop(permit);
    while read_once(plan, crew, index, &link).await? {}
    Ok(())
}

/// Waits for bytes and takes them in. Tells whether more may come.
async fn read_once(plan: &Plan, crew: &RefCell<Crew>, index: u32, link: &Link) -> io::Result<bool> {
    link.readable().await?;
    crew.borrow_mut().read_turn(index, link, plan.clock)
}

async fn connect(plan: &Plan, index: u32) -> io::Result<Rc<Link>> {
    let domain = Domain::for_address(plan.address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Reset when closed: ten thousand ports left in TIME_WAIT would slow down the next run's
    // connections several times.
    socket.set_linger(Some(Duration::ZERO))?;
    if let Some(source) = machine::source(index, plan.subscribers, plan.address) {
        socket.bind(&source.into())?;
    }
    let link = match socket.connect(&plan.address.into()) {
        Ok(()) => return Link::new(socket, plan.driver),
        Err(error) if error.raw_os_error() == Some(EINPROGRESS) => Link::new(socket, plan.driver)?,
        Err(error) => return Err(error),
    };
    link.writable().await?;
    match link.take_error()? {
        Some(error) => Err(error),
        None => Ok(link),
    }
}

/// `connect(2)` on a non-blocking socket, under way.
const EINPROGRESS: i32 = rustix::io::Errno::INPROGRESS.raw_os_error();

async fn send(link: &Link, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match link.try_write(bytes) {
            Ok(len) => bytes = &bytes[len..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                link.writable().await?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
