//! A member's task: it connects, subscribes, and reads until one side ends the stream.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::time::sleep;

use super::Worker;
use super::link::Link;
use super::protocol::Connect;
use crate::{http, machine};

/// How often a slow reader reads.
const SLOW_EVERY: Duration = Duration::from_millis(100);
/// The receive buffer of a slow reader, which the kernel doubles: so little may be pushed into one that
/// does not read, as behind a thin line.
const SLOW_RECEIVE_BYTES: usize = 4_096;

/// One stay of the member at `place`, as `order` wants it.
pub(super) async fn stay(worker: Rc<Worker>, place: usize, order: Rc<Connect>) {
    let outcome = try_stay(&worker, place, &order).await;
    worker.crew.borrow_mut().end(place, outcome);
}

async fn try_stay(worker: &Worker, place: usize, order: &Connect) -> io::Result<()> {
    let due_ns = order.due_ns(worker.number(place));
    worker.sleep_until(due_ns).await;
    let permit = worker.connecting.acquire().await.map_err(io::Error::other)?;
    // At times fixed in advance the wait for a turn is the server's doing, and counts.
    let begun_ns = worker.setup.clock.now_ns();
    let intended_ns = if order.per_second.is_some() { due_ns } else { begun_ns };
    let last_id = worker.crew.borrow_mut().begin(place, intended_ns, &order.resume);
    let link = subscribe(worker, place, order, last_id).await?;
    drop(permit);
    match link {
        Some(link) => follow(worker, place, &link, order).await,
        None => Ok(()),
    }
}

/// Connects and reads until the stream stands. `None`: it is not wanted any more.
async fn subscribe(
    worker: &Worker,
    place: usize,
    order: &Connect,
    last_id: Option<Vec<u8>>,
) -> io::Result<Option<Rc<Link>>> {
    let member = worker.number(place);
    let link = connect(worker, member).await?;
    let now_ns = worker.setup.clock.now_ns();
    if !worker.crew.borrow_mut().connected(place, &link, now_ns) {
        return Ok(None);
    }
    let topic = &worker.setup.topics[member as usize % worker.setup.topics.len()];
    let request = worker.setup.target.subscribe_request(&[topic], last_id.as_deref());
    send(&link, &request).await?;
    while !worker.crew.borrow().is_up(place) {
        link.readable().await?;
        if !read_turn(worker, place, &link, order)? {
            return Err(http::invalid("the server closed before its response head"));
        }
    }
    Ok(Some(link))
}

/// Reads to the end.
async fn follow(worker: &Worker, place: usize, link: &Link, order: &Connect) -> io::Result<()> {
    loop {
        let throttle = worker.crew.borrow().bytes_per_second(place);
        if let Some(bytes_per_second) = throttle {
            return read_slowly(worker, place, link, order, bytes_per_second).await;
        }
        link.readable().await?;
        if !read_turn(worker, place, link, order)? {
            return Ok(());
        }
    }
}

fn read_turn(worker: &Worker, place: usize, link: &Link, order: &Connect) -> io::Result<bool> {
    let clock = worker.setup.clock;
    worker.crew.borrow_mut().read_turn(place, link, order, || clock.now_ns())
}

/// Reads so many bytes a second and no more. Whether the server has reset the connection is looked at each
/// time; an end in order is seen when all before it has been read.
async fn read_slowly(
    worker: &Worker,
    place: usize,
    link: &Link,
    order: &Connect,
    bytes_per_second: u64,
) -> io::Result<()> {
    let mut allowed = 0.0;
    while !worker.crew.borrow().is_leaving(place) {
        sleep(SLOW_EVERY).await;
        if let Some(error) = link.take_error()? {
            return Err(error);
        }
        allowed += bytes_per_second as f64 * SLOW_EVERY.as_secs_f64();
        if allowed < 1.0 {
            continue;
        }
        let now_ns = worker.setup.clock.now_ns();
        let mut crew = worker.crew.borrow_mut();
        match crew.read_some(place, link, allowed as usize, order, now_ns)? {
            Some(len) => allowed -= len as f64,
            None => return Ok(()),
        }
        allowed = allowed.min(bytes_per_second as f64);
    }
    Ok(())
}

async fn connect(worker: &Worker, member: u32) -> io::Result<Rc<Link>> {
    let setup = &worker.setup;
    let address = setup.target.address;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Reset when closed: ten thousand ports left in TIME_WAIT would slow down the next run's
    // connections several times.
    socket.set_linger(Some(Duration::ZERO))?;
    if setup.slow.contains(&member) {
        socket.set_recv_buffer_size(SLOW_RECEIVE_BYTES)?;
    }
    if let Some(source) = machine::source(member, setup.subscribers, address, &setup.sources) {
        socket.bind(&source.into())?;
    }
    let link = match socket.connect(&address.into()) {
        Ok(()) => return Link::new(socket, worker.driver),
        Err(error) if error.raw_os_error() == Some(EINPROGRESS) => {
            Link::new(socket, worker.driver)?
        }
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
