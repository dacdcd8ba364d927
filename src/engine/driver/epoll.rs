//! The driver for kernels and sandboxes that deny io_uring: `send(2)` and epoll.
//!
//! Also the honest control in benchmarks: the same core over the plain system calls.

use std::{
    collections::VecDeque,
    fmt, io,
    net::{IpAddr, TcpListener},
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use rustix::{
    event::epoll,
    io::Errno,
    net::{RecvFlags, SendFlags, Shutdown, SocketFlags},
};
use slab::Slab;

use super::{Driver, DriverOptions, Event, Received, Send, Sent, Socket, Sockets, Watch, peer_of};

/// A driver over epoll.
pub(in crate::engine) struct Epoll {
    epoll: OwnedFd,
    listener: Option<TcpListener>,
    wake: OwnedFd,
    accepting: bool,
    sockets_max: usize,
    /// Which slots are in use.
    slots: Slab<()>,
    sockets: Sockets<Watched>,
    ready: Vec<epoll::Event>,
}

#[derive(Debug)]
struct Watched {
    socket: OwnedFd,
    mask: epoll::EventFlags,
}

const LISTENER: u64 = u64::MAX;
const WAKE: u64 = u64::MAX - 1;

/// Connections accepted in one turn, so that a storm does not hold up the fan-out.
const ACCEPTS_PER_WAIT: usize = 64;

const EVENTS_PER_WAIT: usize = 1024;

impl Epoll {
    pub(in crate::engine) fn new(options: DriverOptions<'_>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        options.listener.set_nonblocking(true)?;
        let wake = options.wake.try_clone_to_owned()?;
        epoll::add(&epoll, &wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        let mask = epoll::EventFlags::empty();
        epoll::add(&epoll, &options.listener, epoll::EventData::new_u64(LISTENER), mask)?;
        Ok(Self {
            epoll,
            listener: Some(options.listener),
            wake,
            accepting: false,
            sockets_max: options.sockets_max,
            slots: Slab::new(),
            sockets: Sockets::new(),
            ready: Vec::with_capacity(EVENTS_PER_WAIT),
        })
    }

    fn listen(&mut self, accepting: bool) {
        self.accepting = accepting;
        let Some(listener) = &self.listener else { return };
        let mask = if accepting { epoll::EventFlags::IN } else { epoll::EventFlags::empty() };
        let data = epoll::EventData::new_u64(LISTENER);
        epoll::modify(&self.epoll, listener, data, mask).expect("the listener is registered");
    }

    fn accept_some(&mut self, events: &mut VecDeque<Event>) {
        for _ in 0..ACCEPTS_PER_WAIT {
            let Some(listener) = &self.listener else { return };
            if self.sockets.len() >= self.sockets_max {
                self.listen(false);
                events.push_back(Event::AcceptFailed(Errno::MFILE.into()));
                return;
            }
            match rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(socket) => self.register(socket, events),
                Err(Errno::AGAIN) => return,
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                Err(error) => {
                    self.listen(false);
                    events.push_back(Event::AcceptFailed(error.into()));
                    return;
                }
            }
        }
    }

    fn register(&mut self, socket: OwnedFd, events: &mut VecDeque<Event>) {
        let slot = self.slots.insert(());
        let mask = epoll::EventFlags::empty();
        let watched = Watched { socket, mask };
        let socket = self.sockets.open(slot as u32, watched);
        let watched = self.sockets.get(socket).expect("just opened");
        match epoll::add(&self.epoll, &watched.socket, data(socket), mask) {
            Ok(()) => events.push_back(Event::Accepted(socket)),
            // Out of watches or memory: this connection is dropped, the others go on.
            Err(_) => self.close(socket),
        }
    }

    fn fire(&mut self, socket: Socket, flags: epoll::EventFlags, events: &mut VecDeque<Event>) {
        let Some(watched) = self.sockets.get_mut(socket) else { return };
        let gone = epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        let fired = [
            (Watch::Readable, epoll::EventFlags::IN | gone),
            (Watch::Writable, epoll::EventFlags::OUT | gone),
            (Watch::Leave, epoll::EventFlags::RDHUP | gone),
        ];
        for (watch, on) in fired {
            if watched.mask.contains(mask(watch)) && flags.intersects(on) {
                watched.mask.remove(mask(watch));
                events.push_back(Event::Ready(socket, watch));
            }
        }
        // One-shot: nothing more is reported, a hang-up neither, until it is armed again.
        if !watched.mask.is_empty() {
            arm(&self.epoll, socket, watched);
        }
    }
}

impl Driver for Epoll {
    fn send(&mut self, sends: &[Send<'_>], sent: &mut Vec<Sent>) {
        for send in sends {
            let Some(watched) = self.sockets.get(send.socket) else {
                sent.push(Sent::Broken);
                continue;
            };
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            sent.push(match rustix::net::send(&watched.socket, send.bytes, flags) {
                Ok(count) => Sent::Bytes(count),
                Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS | Errno::NOMEM) => Sent::Bytes(0),
                Err(_) => Sent::Broken,
            });
        }
    }

    fn receive(&mut self, socket: Socket, buffer: &mut [u8]) -> Received {
        let Some(watched) = self.sockets.get(socket) else { return Received::Ended };
        match rustix::net::recv(&watched.socket, buffer, RecvFlags::DONTWAIT) {
            Ok((_, 0)) => Received::Ended,
            Ok((_, count)) => Received::Bytes(count),
            Err(Errno::AGAIN | Errno::INTR) => Received::Nothing,
            Err(_) => Received::Ended,
        }
    }

    fn watch(&mut self, socket: Socket, watch: Watch) {
        let Some(watched) = self.sockets.get_mut(socket) else { return };
        watched.mask |= mask(watch);
        arm(&self.epoll, socket, watched);
    }

    fn finish(&mut self, socket: Socket) {
        if let Some(watched) = self.sockets.get(socket) {
            // A connection that is gone has nothing to end.
            let _ = rustix::net::shutdown(&watched.socket, Shutdown::Write);
        }
    }

    fn close(&mut self, socket: Socket) {
        if self.sockets.close(socket).is_some() {
            self.slots.remove(socket.slot as usize);
        }
    }

    fn take(&mut self, socket: Socket) -> io::Result<OwnedFd> {
        let watched = self.sockets.close(socket).ok_or(io::ErrorKind::NotFound)?;
        self.slots.remove(socket.slot as usize);
        epoll::delete(&self.epoll, &watched.socket)?;
        Ok(watched.socket)
    }

    fn peer(&mut self, socket: Socket) -> Option<IpAddr> {
        peer_of(&self.sockets.get(socket)?.socket)
    }

    fn accept(&mut self) {
        self.listen(true);
    }

    fn stop_accepting(&mut self) {
        self.accepting = false;
        self.listener = None;
    }

    fn wait(&mut self, timeout: Option<Duration>, events: &mut VecDeque<Event>) -> io::Result<()> {
        let timeout = timeout.map(|timeout| timeout.try_into().expect("a deadline is near"));
        self.ready.clear();
        let spare = rustix::buffer::spare_capacity(&mut self.ready);
        match epoll::wait(&self.epoll, spare, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = std::mem::take(&mut self.ready);
        for event in &ready {
            match event.data.u64() {
                WAKE => drain(&self.wake),
                LISTENER => self.accept_some(events),
                token => self.fire(socket(token), event.flags, events),
            }
        }
        self.ready = ready;
        Ok(())
    }
}

impl fmt::Debug for Epoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Epoll").field("sockets", &self.sockets.len()).finish_non_exhaustive()
    }
}

/// Resets an eventfd.
pub(super) fn drain(wake: impl AsFd) {
    // It holds one number; an interrupted read is repeated by the next event.
    let _ = rustix::io::read(wake, &mut [0; 8]);
}

fn arm(epoll: &OwnedFd, socket: Socket, watched: &Watched) {
    let mask = watched.mask | epoll::EventFlags::ONESHOT;
    epoll::modify(epoll, &watched.socket, data(socket), mask).expect("the socket is registered");
}

fn mask(watch: Watch) -> epoll::EventFlags {
    match watch {
        Watch::Readable => epoll::EventFlags::IN,
        Watch::Writable => epoll::EventFlags::OUT,
        Watch::Leave => epoll::EventFlags::RDHUP,
    }
}

fn data(socket: Socket) -> epoll::EventData {
    epoll::EventData::new_u64(u64::from(socket.generation) << 32 | u64::from(socket.slot))
}

fn socket(token: u64) -> Socket {
    Socket { slot: token as u32, generation: (token >> 32) as u32 }
}
