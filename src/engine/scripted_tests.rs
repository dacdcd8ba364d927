//! One core over a driver that does as it is told: what real sockets do not do on demand.

use std::{
    collections::VecDeque,
    io,
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam::queue::ArrayQueue;

use super::{
    admission::{Admission, Verdict},
    connection::EndReason,
    core::{Core, CoreContext, Turn},
    driver::{Driver, Event, Received, Send, Sent, Socket, Watch},
};
use crate::{
    http::RequestHead,
    limits,
    log::LogOptions,
    provider::{LocalProvider, SubscribeRequest},
    sse::Message,
};

/// One socket, whose request is there, and which has room or has none.
#[derive(Debug)]
struct Scripted {
    has_room: bool,
    request: &'static [u8],
    closed: bool,
}

const SOCKET: Socket = Socket { slot: 0, generation: 1 };

impl Driver for Scripted {
    fn send(&mut self, sends: &[Send<'_>], sent: &mut Vec<Sent>) {
        let room = |send: &Send<'_>| if self.has_room { send.bytes.len() } else { 0 };
        sent.extend(sends.iter().map(|send| Sent::Bytes(room(send))));
    }

    fn receive(&mut self, _: Socket, buffer: &mut [u8]) -> Received {
        let request = std::mem::take(&mut self.request);
        buffer[..request.len()].copy_from_slice(request);
        if request.is_empty() { Received::Nothing } else { Received::Bytes(request.len()) }
    }

    fn close(&mut self, _: Socket) {
        self.closed = true;
    }

    fn take(&mut self, _: Socket) -> io::Result<OwnedFd> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn watch(&mut self, _: Socket, _: Watch) {}
    fn finish(&mut self, _: Socket) {}
    fn accept(&mut self) {}
    fn stop_accepting(&mut self) {}

    fn wait(&mut self, _: Option<Duration>, _: &mut VecDeque<Event>) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Everybody;

impl Admission for Everybody {
    fn admit(&self, _: &RequestHead<'_>) -> Verdict {
        Verdict::Subscribe(SubscribeRequest::to(&[""]))
    }
}

/// A core with one live subscriber of the default topic.
fn core(provider: &LocalProvider, now: Instant) -> Core<Scripted> {
    let context = CoreContext {
        provider: provider.clone(),
        reader: provider.register_reader(Box::new(|| {})).unwrap(),
        admission: Arc::new(Everybody),
        hand_over: tokio::sync::mpsc::channel(1).0,
        counters: Arc::default(),
        commands: Arc::new(ArrayQueue::new(1)),
        connections_max: 10,
    };
    let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut core = Core::new(Scripted { has_room: true, request, closed: false }, context);
    core.happen(Event::Accepted(SOCKET));
    turns(&mut core, now);
    core
}

fn turns(core: &mut Core<Scripted>, now: Instant) {
    for _ in 0..8 {
        core.turn(now);
    }
}

#[test]
fn who_falls_behind_again_and_again_has_one_timer() {
    let provider = LocalProvider::new(LogOptions::default());
    let mut now = Instant::now();
    let mut core = core(&provider, now);
    let counters = Arc::clone(&core.context.counters);
    for nth in 1..=1000 {
        provider.publish(&Message::new("x"), &[""]).unwrap();
        core.driver.has_room = false;
        turns(&mut core, now);
        assert_eq!(counters.lagging.get(), 1, "it has no room");
        now += Duration::from_millis(50);
        core.driver.has_room = true;
        core.happen(Event::Ready(SOCKET, Watch::Writable));
        turns(&mut core, now);
        assert_eq!((counters.lagging.get(), counters.deliveries.get()), (0, nth));
        assert!(core.timers.len() <= 1, "{} timers", core.timers.len());
    }
    assert!(!core.driver.closed, "it took something all the time");
}

#[test]
fn who_takes_nothing_is_cut_at_its_deadline_and_not_before() {
    let provider = LocalProvider::new(LogOptions::default());
    let start = Instant::now();
    let mut core = core(&provider, start);
    let blocked = start + Duration::from_secs(7);
    provider.publish(&Message::new("x"), &[""]).unwrap();
    core.driver.has_room = false;
    turns(&mut core, blocked);
    // The timer of its head is due in between, and put off.
    turns(&mut core, start + limits::HEAD_DEADLINE);
    turns(&mut core, blocked + limits::WRITE_STALL_DEADLINE - Duration::from_millis(1));
    assert!(!core.driver.closed);
    turns(&mut core, blocked + limits::WRITE_STALL_DEADLINE);
    assert!(core.driver.closed);
    assert_eq!(core.context.counters.ends(EndReason::Stalled).get(), 1);
    assert_eq!(provider.topics(), 1, "the message is retained, the subscriber is not");
    assert_eq!(provider.subscribers(""), 0);
}

#[test]
fn deadlines_that_many_have_at_once_are_kept_slice_by_slice() {
    let provider = LocalProvider::new(LogOptions::default());
    let start = Instant::now();
    let mut core = core(&provider, start);
    let silent = 1..=1000;
    let count = silent.clone().count() as u64;
    for slot in silent {
        core.happen(Event::Accepted(Socket { slot, generation: 1 }));
        core.turn(start);
    }
    let due = start + limits::HEAD_DEADLINE;
    let ended = |core: &Core<Scripted>| core.context.counters.ends(EndReason::HeadDeadline).get();
    assert_eq!(ended(&core), 0);
    let mut turns = 0;
    while ended(&core) < count {
        let before = ended(&core);
        let turn = core.turn(due);
        assert!(ended(&core) - before <= 64, "{} in one turn", ended(&core) - before);
        let is_at_once = |turn| matches!(turn, Turn::Idle(Some(at)) if at <= due);
        assert!(ended(&core) == count || is_at_once(turn), "{turn:?}");
        turns += 1;
        assert!(turns < 1000, "they are not kept");
    }
}
