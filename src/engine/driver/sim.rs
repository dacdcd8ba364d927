//! The driver of the simulation: sockets that are memory, and do whatever sockets may do.
//!
//! A [`Network`] has both ends of every connection. The simulation moves the peers' ends; a core moves
//! its own through [`Sim`]. What a kernel may do at its whim happens by the seed: a send takes any part,
//! watches fire late and in any order, accepting fails. What a core must never do is an assertion here:
//! to use what it has closed, to close it twice, to arm a watch that is armed, to end a connection for
//! no reason or for two.

mod faults;
mod link;
mod network;
mod trace;

use std::{
    cell::RefCell,
    collections::VecDeque,
    fmt, io,
    net::IpAddr,
    os::fd::{AsRawFd, OwnedFd},
    rc::Rc,
    time::Duration,
};

use super::{Driver, Event, Received, Send, Sent, Socket, Watch};

pub(in crate::engine) use self::{
    faults::Faults,
    link::{Ended, Link, LinkId, PeerEnd},
    network::Network,
    trace::{Note, Trace},
};

/// The sockets of one core.
pub(in crate::engine) struct Sim {
    network: Rc<RefCell<Network>>,
    core: usize,
    /// What other threads do while the core is in a call.
    meanwhile: Rc<dyn Fn()>,
}

impl Sim {
    pub(in crate::engine) fn new(
        network: Rc<RefCell<Network>>,
        core: usize,
        meanwhile: Rc<dyn Fn()>,
    ) -> Self {
        Self { network, core, meanwhile }
    }
}

impl Driver for Sim {
    fn send(&mut self, sends: &[Send<'_>], sent: &mut Vec<Sent>) {
        for send in sends {
            (self.meanwhile)();
            sent.push(self.network.borrow_mut().send(self.core, send.socket, send.bytes));
        }
    }

    fn receive(&mut self, socket: Socket, buffer: &mut [u8]) -> Received {
        (self.meanwhile)();
        self.network.borrow_mut().receive(self.core, socket, buffer)
    }

    fn watch(&mut self, socket: Socket, watch: Watch) {
        self.network.borrow_mut().watch(self.core, socket, watch);
    }

    fn finish(&mut self, socket: Socket) {
        self.network.borrow_mut().finish(self.core, socket);
    }

    fn close(&mut self, socket: Socket) {
        (self.meanwhile)();
        self.network.borrow_mut().close(self.core, socket);
    }

    fn take(&mut self, socket: Socket) -> io::Result<OwnedFd> {
        self.network.borrow_mut().take(self.core, socket)
    }

    fn peer(&mut self, _: Socket) -> Option<IpAddr> {
        None
    }

    fn accept(&mut self) {
        self.network.borrow_mut().accept(self.core);
    }

    fn stop_accepting(&mut self) {
        self.network.borrow_mut().stop_accepting(self.core);
    }

    fn wait(&mut self, _: Option<Duration>, events: &mut VecDeque<Event>) -> io::Result<()> {
        self.network.borrow_mut().wait(self.core, events);
        Ok(())
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("core", &self.core).finish_non_exhaustive()
    }
}

impl Network {
    /// Which connection a descriptor is that a core has given away.
    pub(in crate::engine) fn given_away(&mut self, socket: &OwnedFd) -> LinkId {
        let number = socket.as_raw_fd();
        let at = self.taken.iter().position(|(taken, _)| *taken == number);
        self.taken.swap_remove(at.expect("a core took it")).1
    }
}
