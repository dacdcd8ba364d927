//! What the kernel does only now and then, brought about.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::fd::AsFd,
    time::Instant,
};

use rustix::event::{EventfdFlags, eventfd};

use super::*;
use crate::engine::driver::Epoll;

const PATIENCE: Duration = Duration::from_secs(10);

/// A driver and what it is connected to.
struct Bench<D> {
    driver: D,
    address: std::net::SocketAddr,
    events: VecDeque<Event>,
}

impl<D: Driver> Bench<D> {
    fn new(sockets_max: usize, make: impl FnOnce(DriverOptions<'_>) -> io::Result<D>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
        let options = DriverOptions { listener, wake: wake.as_fd(), sockets_max };
        let mut driver = make(options).unwrap();
        driver.accept();
        Self { driver, address, events: VecDeque::new() }
    }

    fn connect(&self) -> TcpStream {
        let peer = TcpStream::connect(self.address).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        peer
    }

    fn next(&mut self) -> Event {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "something happens");
            self.driver.wait(Some(left), &mut self.events).unwrap();
        }
    }

    fn accepted(&mut self) -> Socket {
        match self.next() {
            Event::Accepted(socket) => socket,
            other => panic!("not accepted: {other:?}"),
        }
    }
}

/// io_uring, where it is allowed.
fn uring() -> Option<fn(DriverOptions<'_>) -> io::Result<Uring>> {
    if let Err(reason) = Uring::probe() {
        println!("skipped: {reason}");
        assert!(std::env::var_os("CI").is_none(), "in CI nothing may be skipped");
        return None;
    }
    Some(Uring::new)
}

#[test]
fn completions_beyond_their_queue_are_not_lost() {
    const SOCKETS: usize = 300;
    if uring().is_none() {
        return;
    }
    let small = |options: DriverOptions<'_>| Uring::with_ring(Ring::with_sizes(8, 16)?, options);
    let mut bench = Bench::new(SOCKETS, small);
    let both = (0..SOCKETS).map(|_| (bench.connect(), bench.accepted()));
    let (peers, sockets): (Vec<_>, Vec<_>) = both.unzip();
    for &socket in &sockets {
        bench.driver.watch(socket, Watch::Readable);
    }
    bench.driver.flush();
    peers.iter().for_each(|mut peer| peer.write_all(b"x").unwrap());
    // Lets the kernel post what it has without a look at the queue.
    let mut overflowed = false;
    for _ in 0..100 {
        bench.driver.ring.enter(1);
        overflowed |= bench.driver.ring.has_overflowed();
    }
    assert!(overflowed, "300 completions don't fit into 16 places");
    let mut ready = Vec::new();
    while ready.len() < SOCKETS {
        match bench.next() {
            Event::Ready(socket, Watch::Readable) => ready.push(socket),
            other => panic!("not readable: {other:?}"),
        }
    }
    ready.sort_unstable_by_key(|socket| socket.slot);
    ready.dedup();
    assert_eq!(ready.len(), SOCKETS, "each of them once");
    let mut buffer = [0; 8];
    for socket in ready {
        assert_eq!(bench.driver.receive(socket, &mut buffer), Received::Bytes(1));
    }
}

fn at_the_limit_accepting_stops_and_goes_on<D: Driver>(
    make: impl FnOnce(DriverOptions<'_>) -> io::Result<D>,
) {
    let mut bench = Bench::new(2, make);
    let _peers: Vec<_> = (0..3).map(|_| bench.connect()).collect();
    let first = bench.accepted();
    let second = bench.accepted();
    assert!(matches!(bench.next(), Event::AcceptFailed(_)));
    bench.driver.wait(Some(Duration::from_millis(20)), &mut bench.events).unwrap();
    assert!(bench.events.is_empty(), "it is not tried again and again");
    bench.driver.close(first);
    // Over io_uring the kernel drops the connection that it had no slot for.
    let _another = bench.connect();
    bench.driver.accept();
    let third = bench.accepted();
    assert_eq!(third.slot, first.slot);
    assert_ne!(third.generation, first.generation);
    assert_ne!(third.slot, second.slot);
    assert_eq!(bench.driver.receive(first, &mut [0; 8]), Received::Ended, "it is another's");
}

#[test]
fn at_the_limit_of_descriptors_accepting_stops_and_goes_on() {
    if let Some(make) = uring() {
        at_the_limit_accepting_stops_and_goes_on(make);
    }
    at_the_limit_accepting_stops_and_goes_on(Epoll::new);
}

/// Closes sockets while whatever was watched is about to happen, and checks that no event names a
/// socket that was closed.
fn closing_races_with_what_happens<D: Driver>(
    make: impl FnOnce(DriverOptions<'_>) -> io::Result<D>,
) -> D {
    let mut bench = Bench::new(4, make);
    for nth in 0..2_000 {
        let mut peer = bench.connect();
        let socket = bench.accepted();
        bench.driver.watch(socket, Watch::Readable);
        bench.driver.watch(socket, Watch::Leave);
        if nth % 2 == 0 {
            bench.driver.watch(socket, Watch::Writable);
        }
        match nth % 7 {
            0 => peer.write_all(b"x").unwrap(),
            1 => peer.shutdown(std::net::Shutdown::Write).unwrap(),
            2 => bench.driver.finish(socket),
            3 => bench.driver.wait(Some(Duration::ZERO), &mut bench.events).unwrap(),
            _ => {}
        }
        bench.driver.close(socket);
        bench.events.clear();
        bench.driver.wait(Some(Duration::ZERO), &mut bench.events).unwrap();
        assert!(bench.events.is_empty(), "{:?} of a closed {socket:?}", bench.events);
        let end = peer.read(&mut [0; 8]);
        assert!(matches!(end, Ok(0) | Err(_)), "the peer sees the end: {end:?}");
    }
    bench.driver
}

#[test]
fn what_is_closed_gives_no_event_and_leaves_no_slot_behind() {
    if let Some(make) = uring() {
        let mut driver = closing_races_with_what_happens(make);
        driver.wait(Some(Duration::from_millis(10)), &mut VecDeque::new()).unwrap();
        assert_eq!((driver.sockets.len(), driver.closing.len()), (0, 0));
    }
    closing_races_with_what_happens(Epoll::new);
}

#[test]
fn without_memory_there_is_no_room_and_the_connection_is_sound() {
    for errno in [Errno::AGAIN, Errno::NOBUFS, Errno::NOMEM, Errno::INTR] {
        assert_eq!(outcome(-errno.raw_os_error()), Sent::Bytes(0));
    }
    for errno in [Errno::PIPE, Errno::CONNRESET, Errno::TIMEDOUT, Errno::BADF] {
        assert_eq!(outcome(-errno.raw_os_error()), Sent::Broken);
    }
    assert_eq!(outcome(0x7fff_0000), Sent::Bytes(0x7fff_0000));
}
