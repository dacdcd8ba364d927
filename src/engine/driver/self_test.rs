//! Whether a driver does here what it should: kernels and sandboxes have faults that no probe shows,
//! such as descriptors accepted that are not open.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::fd::AsFd,
    time::Duration,
};

use rustix::event::{EventfdFlags, eventfd};

use super::{Driver, DriverOptions, Event, Received, Send, Sent, Socket, Watch};

/// How long one wait may be, and how many there may be for one event: over loopback all of it takes less
/// than a millisecond.
const WAIT: Duration = Duration::from_millis(100);
const WAITS_MAX: usize = 20;

/// Lets the driver that `make` makes accept a connection over loopback, echo what comes, and notice the
/// end.
///
/// # Errors
/// The step that failed, and how.
pub(super) fn self_test<D: Driver>(
    make: impl FnOnce(DriverOptions<'_>) -> io::Result<D>,
) -> Result<(), String> {
    let failed = |step: &'static str| move |error: io::Error| format!("{step}: {error}");
    let listener = TcpListener::bind("127.0.0.1:0")
        .or_else(|_| TcpListener::bind("[::1]:0"))
        .map_err(failed("listening on loopback"))?;
    let address = listener.local_addr().map_err(failed("listening on loopback"))?;
    let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|error| failed("eventfd")(error.into()))?;
    let options = DriverOptions { listener, wake: wake.as_fd(), sockets_max: 4 };
    let mut test = Test::of(make(options).map_err(failed("starting"))?);
    test.driver.accept();
    let peer = TcpStream::connect(address).map_err(failed("connecting"))?;
    peer.set_read_timeout(Some(WAIT * WAITS_MAX as u32)).map_err(failed("connecting"))?;
    let socket = test.accepted()?;
    test.echo(socket, &peer)?;
    test.driver.watch(socket, Watch::Leave);
    peer.shutdown(Shutdown::Write).map_err(failed("leaving"))?;
    test.ready(socket, Watch::Leave)?;
    test.driver.close(socket);
    match (&peer).read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err("closing: something more came".to_owned()),
        Err(error) => Err(failed("closing")(error)),
    }
}

struct Test<D> {
    driver: D,
    events: VecDeque<Event>,
}

impl<D: Driver> Test<D> {
    fn of(driver: D) -> Self {
        Self { driver, events: VecDeque::new() }
    }

    fn accepted(&mut self) -> Result<Socket, String> {
        match self.next("accepting")? {
            Event::Accepted(socket) => Ok(socket),
            other => Err(format!("accepting: {other:?}")),
        }
    }

    fn ready(&mut self, socket: Socket, watch: Watch) -> Result<(), String> {
        match self.next("watching")? {
            Event::Ready(of, what) if (of, what) == (socket, watch) => Ok(()),
            other => Err(format!("watching {watch:?}: {other:?}")),
        }
    }

    fn next(&mut self, step: &str) -> Result<Event, String> {
        for _ in 0..WAITS_MAX {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            self.driver
                .wait(Some(WAIT), &mut self.events)
                .map_err(|error| format!("{step}: {error}"))?;
        }
        Err(format!("{step}: nothing happened"))
    }

    fn echo(&mut self, socket: Socket, mut peer: &TcpStream) -> Result<(), String> {
        const SAID: &[u8] = b"there?";
        let mut buffer = [0; 64];
        if self.driver.receive(socket, &mut buffer) != Received::Nothing {
            return Err("receiving: something came from nowhere".to_owned());
        }
        self.driver.watch(socket, Watch::Readable);
        peer.write_all(SAID).map_err(|error| format!("receiving: {error}"))?;
        self.ready(socket, Watch::Readable)?;
        let received = self.driver.receive(socket, &mut buffer);
        if received != Received::Bytes(SAID.len()) || &buffer[..SAID.len()] != SAID {
            return Err(format!("receiving: {received:?} of {} bytes", SAID.len()));
        }
        let mut sent = Vec::new();
        self.driver.send(&[Send { socket, bytes: SAID }], &mut sent);
        if sent != [Sent::Bytes(SAID.len())] {
            return Err(format!("sending: {sent:?}"));
        }
        peer.read_exact(&mut buffer[..SAID.len()]).map_err(|error| format!("sending: {error}"))?;
        if &buffer[..SAID.len()] == SAID { Ok(()) } else { Err("sending: other bytes".to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Epoll, *};

    /// A driver with a fault of its own over a sound one.
    struct Faulty {
        sound: Epoll,
        fault: Fault,
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Fault {
        None,
        SaysReadableAtOnce,
        SendsLess,
        SendsElse,
        NeverCloses,
    }

    impl Driver for Faulty {
        fn send(&mut self, sends: &[Send<'_>], sent: &mut Vec<Sent>) {
            let bytes = match self.fault {
                Fault::SendsLess => &sends[0].bytes[1..],
                Fault::SendsElse => b"where?",
                _ => sends[0].bytes,
            };
            self.sound.send(&[Send { bytes, ..sends[0] }], sent);
        }

        fn receive(&mut self, socket: Socket, buffer: &mut [u8]) -> Received {
            match self.fault {
                Fault::SaysReadableAtOnce => Received::Bytes(1),
                _ => self.sound.receive(socket, buffer),
            }
        }

        fn watch(&mut self, socket: Socket, watch: Watch) {
            self.sound.watch(socket, watch);
        }

        fn finish(&mut self, socket: Socket) {
            self.sound.finish(socket);
        }

        fn close(&mut self, socket: Socket) {
            if self.fault != Fault::NeverCloses {
                self.sound.close(socket);
            }
        }

        fn take(&mut self, socket: Socket) -> io::Result<std::os::fd::OwnedFd> {
            self.sound.take(socket)
        }

        fn peer(&mut self, socket: Socket) -> Option<std::net::IpAddr> {
            self.sound.peer(socket)
        }

        fn accept(&mut self) {
            self.sound.accept();
        }

        fn stop_accepting(&mut self) {
            self.sound.stop_accepting();
        }

        fn wait(
            &mut self,
            timeout: Option<Duration>,
            events: &mut VecDeque<Event>,
        ) -> io::Result<()> {
            self.sound.wait(timeout, events)
        }
    }

    fn test(fault: Fault) -> Result<(), String> {
        self_test(|options| Ok(Faulty { sound: Epoll::new(options)?, fault }))
    }

    #[test]
    fn a_sound_driver_passes() {
        assert_eq!(test(Fault::None), Ok(()));
    }

    #[test]
    fn a_fault_is_told_by_its_step() {
        for (fault, told) in [
            (Fault::SaysReadableAtOnce, "receiving: something came from nowhere"),
            (Fault::SendsLess, "sending: [Bytes(5)]"),
            (Fault::SendsElse, "sending: other bytes"),
            (Fault::NeverCloses, "closing: "),
        ] {
            let said = test(fault).unwrap_err();
            assert!(said.starts_with(told), "{said:?} is not {told:?}");
        }
        let no_start: Result<(), _> =
            self_test(|_| -> io::Result<Epoll> { Err(io::ErrorKind::Unsupported.into()) });
        assert!(no_start.unwrap_err().starts_with("starting: "));
    }
}
