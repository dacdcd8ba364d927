//! One core over a driver that does as it is told: what real sockets do not do on demand.

use std::{
    collections::VecDeque,
    io,
    net::IpAddr,
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    admission::{Admission, Asked, Verdict},
    commands::Commands,
    connection::EndReason,
    core::{Command, Core, CoreContext, Turn},
    driver::{Driver, Event, Received, Send, Sent, Socket, Watch},
    tuning::SharedTuning,
};
use crate::{
    http::{LAST_CHUNK, RequestHead},
    limits,
    log::{Log, LogOptions},
    provider::{LocalProvider, SubscribeRequest},
    sse::Message,
};

/// Sockets whose requests are there, and which have so much room together.
#[derive(Debug, Default)]
pub(super) struct Scripted {
    pub(super) room: usize,
    /// By slot.
    requests: Vec<String>,
    sent: Vec<Vec<u8>>,
    pub(super) closed: Vec<Socket>,
    /// What another thread publishes while a socket is closed.
    meanwhile: Option<(LocalProvider, Vec<Message>)>,
}

pub(super) const SOCKET: Socket = Socket { slot: 0, generation: 1 };

/// Longer than other tests last.
const AGE_MAX: Duration = Duration::from_secs(4 * 3600);

pub(super) const PLENTY: usize = 1 << 30;

impl Scripted {
    /// What this socket was sent since the last time.
    pub(super) fn sent_to(&mut self, socket: Socket) -> Vec<u8> {
        std::mem::take(&mut self.sent[socket.slot as usize])
    }
}

impl Driver for Scripted {
    fn send(&mut self, sends: &[Send<'_>], sent: &mut Vec<Sent>) {
        self.sent.resize(self.requests.len(), Vec::new());
        for send in sends {
            let taken = send.bytes.len().min(self.room);
            self.room -= taken;
            self.sent[send.socket.slot as usize].extend(&send.bytes[..taken]);
            sent.push(Sent::Bytes(taken));
        }
    }

    fn receive(&mut self, socket: Socket, buffer: &mut [u8]) -> Received {
        let request = self.requests.get_mut(socket.slot as usize).map(std::mem::take);
        let request = request.unwrap_or_default();
        buffer[..request.len()].copy_from_slice(request.as_bytes());
        if request.is_empty() { Received::Nothing } else { Received::Bytes(request.len()) }
    }

    fn close(&mut self, socket: Socket) {
        self.closed.push(socket);
        for (provider, messages) in self.meanwhile.take().iter() {
            messages.iter().for_each(|message| _ = provider.publish(message, &["other"]).unwrap());
        }
    }

    fn take(&mut self, _: Socket) -> io::Result<OwnedFd> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn peer(&mut self, _: Socket) -> Option<IpAddr> {
        None
    }

    fn watch(&mut self, _: Socket, _: Watch) {}
    fn finish(&mut self, _: Socket) {}
    fn accept(&mut self) {}
    fn stop_accepting(&mut self) {}

    fn wait(&mut self, _: Option<Duration>, _: &mut VecDeque<Event>) -> io::Result<()> {
        Ok(())
    }
}

/// Everybody subscribes to the topic that is the path.
#[derive(Debug)]
struct ByPath;

impl Admission for ByPath {
    fn admit(&self, head: &RequestHead<'_>, _: Option<IpAddr>) -> Verdict {
        let id = head.header("last-event-id").unwrap_or_default();
        let request = SubscribeRequest::to(&[&head.path[1..]]);
        Verdict::Subscribe(request.after(String::from_utf8_lossy(id)).into())
    }
}

/// A core with one live subscriber of the default topic.
pub(super) fn core(provider: &LocalProvider, now: Instant) -> Core<Scripted> {
    core_after(provider, "", now)
}

/// One whose subscriber had seen this event before.
pub(super) fn core_after(provider: &LocalProvider, id: &str, now: Instant) -> Core<Scripted> {
    let mut core = empty_core(provider);
    subscribe(&mut core, "", id, now);
    core
}

pub(super) fn empty_core(provider: &LocalProvider) -> Core<Scripted> {
    core_with(provider, Arc::new(ByPath), tokio::sync::mpsc::channel(1).0)
}

/// One that nobody has come to.
pub(super) fn core_with(
    provider: &LocalProvider,
    admission: Arc<dyn Admission>,
    questions: tokio::sync::mpsc::Sender<Asked>,
) -> Core<Scripted> {
    let context = CoreContext {
        number: 0,
        provider: provider.clone(),
        reader: provider.register_reader(Box::new(|| {})).unwrap(),
        admission,
        hand_over: tokio::sync::mpsc::channel(1).0,
        questions,
        counters: Arc::default(),
        commands: Arc::new(Commands::with_room(1)),
        connections_max: 1000,
        age_max: Some(AGE_MAX),
        tuning: SharedTuning::default(),
    };
    Core::new(Scripted { room: PLENTY, ..Scripted::default() }, context)
}

/// A subscriber comes into the next slot.
fn subscribe(core: &mut Core<Scripted>, topic: &str, after: &str, now: Instant) -> Socket {
    let head = format!("GET /{topic} HTTP/1.1\r\nHost: x\r\nLast-Event-ID: {after}\r\n\r\n");
    request(core, &head, now)
}

/// A connection comes into the next slot, with this request.
pub(super) fn request(core: &mut Core<Scripted>, request: &str, now: Instant) -> Socket {
    let socket = Socket { slot: core.driver.requests.len() as u32, generation: 1 };
    core.driver.requests.push(request.to_owned());
    core.happen(Event::Accepted(socket));
    turns(core, now);
    socket
}

pub(super) fn turns(core: &mut Core<Scripted>, now: Instant) {
    for _ in 0..8 {
        core.turn(now);
    }
}

/// What it has received since the last time.
pub(super) fn received(core: &mut Core<Scripted>) -> String {
    String::from_utf8(std::mem::take(&mut core.driver.sent[0])).unwrap()
}

#[test]
fn who_falls_behind_again_and_again_has_one_timer() {
    let provider = LocalProvider::new(LogOptions::default());
    let mut now = Instant::now();
    let mut core = core(&provider, now);
    let counters = Arc::clone(&core.context.counters);
    for nth in 1..=1000 {
        provider.publish(&Message::new("x"), &[""]).unwrap();
        core.driver.room = 0;
        turns(&mut core, now);
        assert_eq!(counters.lagging.get(), 1, "it has no room");
        now += Duration::from_millis(50);
        core.driver.room = PLENTY;
        core.happen(Event::Ready(SOCKET, Watch::Writable));
        turns(&mut core, now);
        assert_eq!((counters.lagging.get(), counters.deliveries().written), (0, nth));
        assert!(core.timers.len() <= 1, "{} timers", core.timers.len());
    }
    assert!(core.driver.closed.is_empty(), "it took something all the time");
}

#[test]
fn who_takes_nothing_is_cut_at_its_deadline_and_not_before() {
    let provider = LocalProvider::new(LogOptions::default());
    let start = Instant::now();
    let mut core = core(&provider, start);
    let blocked = start + Duration::from_secs(7);
    provider.publish(&Message::new("x"), &[""]).unwrap();
    core.driver.room = 0;
    turns(&mut core, blocked);
    // The timer of its head is due in between, and put off.
    turns(&mut core, start + limits::HEAD_DEADLINE);
    turns(&mut core, blocked + limits::WRITE_STALL_DEADLINE - Duration::from_millis(1));
    assert!(core.driver.closed.is_empty());
    turns(&mut core, blocked + limits::WRITE_STALL_DEADLINE);
    assert_eq!(core.driver.closed, [SOCKET]);
    assert_eq!(core.context.counters.ends(EndReason::Stalled).get(), 1);
    assert_eq!(provider.topics(), 1, "the message is retained, the subscriber is not");
    assert_eq!(provider.subscribers(""), 0);
}

#[test]
fn a_quiet_stream_gets_a_heartbeat_once_in_an_interval() {
    let provider = LocalProvider::new(LogOptions::default());
    let start = Instant::now();
    let mut core = core(&provider, start);
    received(&mut core);
    let mut now = start;
    for _ in 0..400 {
        now += Duration::from_millis(100);
        core.turn(now);
    }
    assert_eq!(received(&mut core), "3\r\n:\n\n\r\n".repeat(2), "40 s are two intervals of 15 s");
    assert_eq!(core.context.counters.heartbeats.get(), 2);
}

#[test]
fn a_stream_that_is_too_old_ends_in_order() {
    let provider = LocalProvider::new(LogOptions::default());
    let start = Instant::now();
    let mut core = core(&provider, start);
    turns(&mut core, start + AGE_MAX.mul_f64(0.89));
    assert!(core.driver.closed.is_empty());
    received(&mut core);
    // Each step is less than a round.
    for step in 0..=20 {
        turns(&mut core, start + AGE_MAX.mul_f64(0.9 + 0.0125 * f64::from(step)));
    }
    assert_eq!(core.context.counters.ends(EndReason::Expired).get(), 1);
    assert!(core.driver.sent[0].ends_with(LAST_CHUNK));
}

#[test]
fn a_stream_with_events_gets_none() {
    let provider = LocalProvider::new(LogOptions::default());
    let mut now = Instant::now();
    let mut core = core(&provider, now);
    for _ in 0..20 {
        now += limits::HEARTBEAT_DEFAULT / 3;
        provider.publish(&Message::new("x"), &[""]).unwrap();
        turns(&mut core, now);
    }
    assert_eq!(core.context.counters.heartbeats.get(), 0);
}

#[test]
fn a_heartbeat_that_is_cut_short_is_finished_before_the_next_event() {
    let provider = LocalProvider::new(LogOptions::default());
    let start = Instant::now();
    for room in 0..=7 {
        let mut core = core(&provider, start);
        received(&mut core);
        core.driver.room = room;
        let now = start + limits::HEARTBEAT_DEFAULT;
        turns(&mut core, now);
        assert_eq!(core.context.counters.heartbeats.get(), 1);
        assert_eq!(core.context.counters.lagging.get(), 1, "it is watched from now on");
        provider.publish(&Message::new("x"), &[""]).unwrap();
        turns(&mut core, now);
        core.driver.room = PLENTY;
        core.happen(Event::Ready(SOCKET, Watch::Writable));
        turns(&mut core, now);
        let text = received(&mut core);
        // One that has not begun is left out.
        let events = text.strip_prefix("3\r\n:\n\n\r\n");
        assert_eq!(events.is_some(), room > 0, "{text:?}");
        let events = events.unwrap_or(&text);
        assert!(events.ends_with("data: x\n\n\r\n"), "{text:?}");
        assert_eq!(events.matches("data").count(), 1);
    }
}

#[test]
fn a_silent_topic_does_not_hide_a_peer_that_takes_nothing() {
    let provider = LocalProvider::new(LogOptions::default());
    let start = Instant::now();
    let mut core = core(&provider, start);
    core.driver.room = 0;
    turns(&mut core, start + limits::HEARTBEAT_DEFAULT);
    turns(&mut core, start + limits::HEARTBEAT_DEFAULT + limits::WRITE_STALL_DEADLINE);
    assert_eq!(core.context.counters.ends(EndReason::Stalled).get(), 1);
}

#[test]
fn who_resumes_on_a_new_pattern_gets_what_the_core_has_not_looked_at_yet() {
    let provider = LocalProvider::new(LogOptions::default());
    let now = Instant::now();
    let first = provider.publish(&Message::new("0"), &["a/b"]).unwrap().id().unwrap();
    let mut core = empty_core(&provider);
    // More than a pass takes at once: the core comes to where the subscriber is before it has come to
    // where the pattern begins.
    let large = "x".repeat(limits::BODY_BYTES_MAX * 3 / 4);
    for nth in 1..6 {
        provider.publish(&Message::new(format!("{nth}\n{large}")), &["a/b"]).unwrap();
    }
    let socket = subscribe(&mut core, "a/*", first.as_str(), now);
    provider.publish(&Message::new("6"), &["a/b"]).unwrap();
    turns(&mut core, now);
    let sent = String::from_utf8_lossy(&core.driver.sent[socket.slot as usize]);
    let data = sent.lines().filter_map(|line| line.strip_prefix("data: "));
    let numbers: Vec<_> = data.filter(|line| line.len() == 1).collect();
    assert_eq!(numbers, ["1", "2", "3", "4", "5", "6"]);
}

#[test]
fn whoever_loses_something_while_others_are_cut_is_cut_as_well() {
    let provider = LocalProvider::builder().build_over(Log::for_test(7, 2000, 512));
    let now = Instant::now();
    let mut core = empty_core(&provider);
    let [first, second] = ["a", "b"].map(|topic| subscribe(&mut core, topic, "", now));
    let publish = |topic| _ = provider.publish(&Message::new("x"), &[topic]).unwrap();
    publish("a");
    let is_retained = |sequence: u64| provider.log().tail().number() <= sequence;
    while is_retained(2) {
        publish("other");
    }
    publish("b");
    let messages = vec![Message::new("x"); 100];
    core.driver.meanwhile = Some((provider.clone(), messages));
    turns(&mut core, now);
    let lost = provider.log().tail();
    assert!(core.position >= lost, "it goes on with what is there");
    assert_eq!(core.driver.closed, [first, second]);
}

#[test]
fn who_has_room_after_the_process_was_stopped_is_not_cut() {
    let provider = LocalProvider::new(LogOptions::default());
    let mut now = Instant::now();
    let mut core = empty_core(&provider);
    // More than a turn looks at.
    let sockets: Vec<_> = (0..200).map(|_| subscribe(&mut core, "a", "", now)).collect();
    provider.publish(&Message::new("x"), &["a"]).unwrap();
    core.driver.room = 0;
    (0..100).for_each(|_| turns(&mut core, now));
    assert_eq!(core.context.counters.lagging.get(), 200);
    now += 2 * limits::WRITE_STALL_DEADLINE;
    core.driver.room = PLENTY;
    sockets.iter().for_each(|&socket| core.happen(Event::Ready(socket, Watch::Writable)));
    (0..100).for_each(|_| turns(&mut core, now));
    assert_eq!((core.driver.closed.len(), core.context.counters.lagging.get()), (0, 0));
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
        assert!(ended(&core) == count || turn == Turn::Busy, "the next one comes at once");
        turns += 1;
        assert!(turns < 1000, "they are not kept");
    }
}

#[test]
fn a_core_that_drains_is_done_in_time_however_much_is_published() {
    let provider = LocalProvider::new(LogOptions::default());
    let mut now = Instant::now();
    let mut core = core(&provider, now);
    assert!(core.context.commands.push(Command::Drain { over: Duration::ZERO }));
    let deadline = now + limits::DRAIN_DEADLINE;
    let large = Message::new("x".repeat(limits::BODY_BYTES_MAX * 3 / 4));
    while now < deadline {
        // More than a pass takes.
        (0..3).for_each(|_| _ = provider.publish(&large, &[""]).unwrap());
        assert_ne!(core.turn(now), Turn::Done, "the subscriber is owed something");
        now += Duration::from_millis(100);
    }
    assert_eq!(core.turn(now), Turn::Done);
    assert_eq!(core.driver.closed, [SOCKET]);
    assert!(!core.driver.sent[0].ends_with(LAST_CHUNK), "it has not had everything");
}
