//! One member's stream: bytes in, an audit out.
//!
//! `framing` takes the chunks off, `scanner` finds the events, `payload` checks their data, `audit`
//! books them. That path decides everything; it costs some 90 ns per event (comparing 13). Most
//! events never take it: between two frames the stream first compares what lies ahead with the
//! frame that `proven` keeps for the message it expects. The result is the same for any split of
//! the input.

use super::audit::{Audit, Place};
use super::framing::{Framing, Step};
use super::protocol::{CaughtUp, Seen};
use super::proven::{Proven, Sent};
use super::scanner::{EventKind, Scanner};
use super::shape::Followed;
use super::slice::Tally;
use crate::extract;
use crate::payload::{Format, Stamp};

/// What all streams of one worker share.
#[derive(Debug)]
pub(crate) struct Shared {
    format: Format,
    payload: extract::Place,
    late_after_ns: u64,
    blind: bool,
    /// By topic: the frames, the audience, the first message.
    topics: Vec<Topic>,
    /// The messages that are followed to each subscriber.
    pub(crate) followed: Followed,
    /// What has been counted since the last slice.
    pub(crate) tally: Tally,
}

#[derive(Debug, Default)]
struct Topic {
    proven: Proven,
    /// Members of this worker that are audited to the end.
    audience: u32,
    first: Option<Seen>,
}

/// What is asked of a member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// It gets every message, in time.
    Whole,
    /// It reads slowly: what it misses is the server's policy, and its latency its own.
    Slow,
    /// It comes and goes: it gets every message from the first it sees to the last.
    Passing,
}

/// What a delivery is counted as.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Delivery {
    /// To a member of this kind, as it was published.
    Live(Kind),
    /// Of what had been published before the member came: its age says nothing.
    Past,
}

/// State of one member's stream, over all of its connections.
#[derive(Debug)]
pub(crate) struct Stream {
    member: u32,
    topic: u32,
    kind: Kind,
    framing: Framing,
    scanner: Scanner,
    audit: Audit,
    /// The first message it gets is where its book begins.
    joining: bool,
    /// So many messages of its topic had been read when the parser last saw one; its id is known.
    parsed: u64,
    catching_up: Option<CatchingUp>,
}

/// A stream that is behind.
#[derive(Clone, Copy, Debug)]
struct CatchingUp {
    since_ns: u64,
    stood_ns: u64,
    when: CaughtUp,
}

/// How a stream stands after some bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flow {
    /// More may come.
    Open,
    /// The body ended in order.
    Ended,
    /// The bytes made no sense any more; the stream cannot be read on.
    Broken,
}

impl Shared {
    /// Nothing counted yet; one audience per topic.
    pub(crate) fn new(
        format: Format,
        payload: extract::Place,
        late_after_ns: u64,
        audiences: Vec<u32>,
    ) -> Self {
        let topic = |audience| Topic { audience, ..Topic::default() };
        Self {
            format,
            payload,
            late_after_ns,
            blind: false,
            topics: audiences.into_iter().map(topic).collect(),
            followed: Followed::new(1),
            tally: Tally::default(),
        }
    }

    /// Counts bytes and looks at none.
    pub(crate) fn blindly(self, blind: bool) -> Self {
        Self { blind, ..self }
    }

    /// Follows one in so many messages.
    pub(crate) fn following(self, one_in: u64) -> Self {
        Self { followed: Followed::new(one_in), ..self }
    }

    /// The first message that was seen of each topic.
    pub(crate) fn first_seen(&self) -> Vec<Option<Seen>> {
        self.topics.iter().map(|topic| topic.first.clone()).collect()
    }

    /// Counts one delivery to a member of `kind`.
    #[inline]
    fn deliver(&mut self, delivery: Delivery, sent: Sent, now_ns: u64) {
        record(&mut self.tally, self.late_after_ns, delivery, sent, now_ns);
    }
}

/// Counts one delivery. Apart from [`Shared`], for a caller that has borrowed another part of it.
#[inline]
fn record(tally: &mut Tally, late_after_ns: u64, delivery: Delivery, sent: Sent, now_ns: u64) {
    match delivery {
        Delivery::Live(Kind::Whole) => tally.delivered += 1,
        Delivery::Live(Kind::Passing) => tally.delivered_to_passing += 1,
        Delivery::Live(Kind::Slow) => {
            tally.delivered_to_slow += 1;
            return;
        }
        Delivery::Past => {
            tally.delivered += 1;
            return;
        }
    }
    let latency_ns = now_ns.saturating_sub(sent.intended_ns);
    tally.latency.saturating_record(latency_ns / 1_000);
    tally.service.saturating_record(now_ns.saturating_sub(sent.sent_ns) / 1_000);
    tally.late += u64::from(latency_ns > late_after_ns);
}

impl Stream {
    /// The stream of a member that has not been connected yet.
    pub(crate) fn new(member: u32, topic: u32, kind: Kind) -> Self {
        Self {
            member,
            topic,
            kind,
            framing: Framing::UntilClose,
            scanner: Scanner::default(),
            audit: Audit::default(),
            joining: false,
            parsed: 0,
            catching_up: None,
        }
    }

    /// Its member's number in the run.
    pub(crate) fn member(&self) -> u32 {
        self.member
    }

    /// The topic it is of.
    pub(crate) fn topic(&self) -> u32 {
        self.topic
    }

    /// What is asked of it.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// What has arrived.
    pub(crate) fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Begins a new book: what comes first is where it begins, or what follows message `after`.
    pub(crate) fn begin(&mut self, after: Option<u64>) {
        self.joining = after.is_none();
        self.audit = Audit::from(after.map_or(0, |number| number + 1));
        self.parsed = 0;
    }

    /// A connection's response head has ended; the stream goes on where it was.
    pub(crate) fn connect(&mut self, framing: Framing) {
        self.framing = framing;
        self.scanner = self.scanner.restarted();
    }

    /// The time until it has caught up is counted since `since_ns`; the connection stands now.
    pub(crate) fn catch_up(&mut self, since_ns: u64, stood_ns: u64, when: CaughtUp) {
        self.catching_up = Some(CatchingUp { since_ns, stood_ns, when });
    }

    /// The id of the last event it got; `None`: it got none, or its frame is not kept any more.
    pub(crate) fn last_id(&self, shared: &Shared) -> Option<Vec<u8>> {
        let read = self.audit.next();
        if self.parsed == read {
            return (read > 0).then(|| self.scanner.id().to_vec());
        }
        let proven = &shared.topics[self.topic as usize].proven;
        let (mut frame, _) = proven.frame(read.checked_sub(1)?)?;
        let mut framing = self.framing.restarted();
        let mut scanner = Scanner::default();
        while !frame.is_empty() {
            let used = match framing.step(frame).ok()? {
                Step::Skip(len) => len,
                Step::Body(len) => {
                    let used = scanner.scan(&frame[..len]).ok()?.used;
                    framing.advance(used);
                    used
                }
                Step::End => break,
            };
            frame = &frame[used..];
        }
        Some(scanner.id().to_vec())
    }

    /// Takes in bytes that one read brought at `now_ns`.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], now_ns: u64, shared: &mut Shared) -> Flow {
        shared.tally.bytes += bytes.len() as u64;
        if shared.blind {
            shared.tally.last_delivery_ns = now_ns;
            return Flow::Open;
        }
        while !bytes.is_empty() {
            let at_boundary = self.at_boundary();
            if at_boundary {
                bytes = self.recognise(bytes, now_ns, shared);
                if bytes.is_empty() {
                    break;
                }
            }
            let parsed = self.parse(bytes, now_ns, shared);
            let (frame, rest) = bytes.split_at(parsed.used);
            if parsed.flow != Flow::Open {
                return parsed.flow;
            }
            if let Some(stamp) = parsed.only_next
                && at_boundary
                && self.at_boundary()
            {
                let number = self.audit.next() - 1;
                shared.topics[self.topic as usize].proven.learn(number, stamp.into(), frame);
            }
            bytes = rest;
        }
        Flow::Open
    }

    fn at_boundary(&self) -> bool {
        self.framing.at_boundary() && self.scanner.at_boundary()
    }

    /// Takes the frames that are as expected, byte for byte. Returns what follows them.
    #[inline]
    fn recognise<'b>(&mut self, mut bytes: &'b [u8], now_ns: u64, shared: &mut Shared) -> &'b [u8] {
        if self.joining {
            return bytes;
        }
        let Shared { topics, tally, followed, late_after_ns, .. } = shared;
        let (count, topic) = (topics.len() as u64, &topics[self.topic as usize]);
        let (before, delivery) = (self.audit.next(), self.delivery());
        let mut last = Sent::default();
        while let Some((frame, sent)) = topic.proven.frame(self.audit.next()) {
            let Some(rest) = bytes.strip_prefix(frame) else { break };
            bytes = rest;
            let number = self.audit.next();
            if followed.follows(number) && self.is_followed() {
                let sequence = number * count + u64::from(self.topic);
                followed.reach(sequence, sent.intended_ns, now_ns, topic.audience);
            }
            self.audit.advance();
            record(tally, *late_after_ns, delivery, sent, now_ns);
            last = sent;
        }
        let recognised = self.audit.next() - before;
        if recognised > 0 {
            tally.recognised += recognised;
            tally.last_delivery_ns = now_ns;
            self.look_at_catching_up(last, now_ns, tally);
        }
        bytes
    }

    fn delivery(&self) -> Delivery {
        match self.catching_up {
            Some(CatchingUp { when: CaughtUp::Messages(_), .. }) => Delivery::Past,
            _ => Delivery::Live(self.kind),
        }
    }

    /// Whether what comes shows how an event spreads: not to one who reads slowly, or reads the past.
    fn is_followed(&self) -> bool {
        self.kind == Kind::Whole && self.catching_up.is_none()
    }

    /// Parses up to the next boundary between frames, or to the end of `bytes`.
    fn parse(&mut self, bytes: &[u8], now_ns: u64, shared: &mut Shared) -> Parsed {
        let mut parsed = Parsed { used: 0, flow: Flow::Open, only_next: None };
        let mut events = 0;
        while parsed.used < bytes.len() {
            let left = &bytes[parsed.used..];
            match self.framing.step(left) {
                Ok(Step::Skip(len)) => parsed.used += len,
                Ok(Step::Body(len)) => {
                    let Ok(scanned) = self.scanner.scan(&left[..len]) else {
                        return self.broken(parsed, "an event beyond every bound", shared);
                    };
                    self.framing.advance(scanned.used);
                    parsed.used += scanned.used;
                    if let Some(kind) = scanned.event {
                        events += 1;
                        let next = self.judge(kind, now_ns, shared);
                        parsed.only_next = next.filter(|_| events == 1);
                    }
                }
                Ok(Step::End) => return Parsed { flow: Flow::Ended, ..parsed },
                Err(_) => return self.broken(parsed, "not a chunked body", shared),
            }
            if self.at_boundary() {
                break;
            }
        }
        if self.framing.is_over() {
            parsed.flow = Flow::Ended;
        }
        parsed
    }

    fn broken(&mut self, parsed: Parsed, why: &str, shared: &mut Shared) -> Parsed {
        self.audit.note_corrupted();
        let next = self.audit.next();
        shared.tally.describe(self.member, || format!("{why}, where {next} was expected"));
        Parsed { flow: Flow::Broken, ..parsed }
    }

    /// Judges one event. Returns the stamp when it is the message expected next.
    fn judge(&mut self, kind: EventKind, now_ns: u64, shared: &mut Shared) -> Option<Stamp> {
        let payload = shared.payload.find(self.scanner.data());
        let Some(payload) = payload.filter(|_| kind == EventKind::Message) else {
            shared.tally.foreign += 1;
            shared.tally.gaps += u64::from(kind == EventKind::Gap);
            return None;
        };
        let expected = self.audit.next();
        let Some(stamp) = shared.format.decode(&payload) else {
            self.audit.note_corrupted();
            let start = self.scanner.data().iter().take(40).copied().collect::<Vec<_>>();
            let start = String::from_utf8_lossy(&start).into_owned();
            shared.tally.describe(self.member, || {
                format!("corrupted where {expected} was expected: {start:?}...")
            });
            return None;
        };
        let topics = shared.topics.len() as u64;
        let (number, topic) = (stamp.sequence / topics, stamp.sequence % topics);
        if topic != u64::from(self.topic) {
            self.audit.note_misrouted();
            let own = self.topic;
            shared.tally.describe(self.member, || {
                format!("a message of topic {topic} came, and {own} was asked for")
            });
            return None;
        }
        self.book(number, stamp, now_ns, shared)
    }

    /// Books an intact message of the stream's topic.
    fn book(
        &mut self,
        number: u64,
        stamp: Stamp,
        now_ns: u64,
        shared: &mut Shared,
    ) -> Option<Stamp> {
        if std::mem::take(&mut self.joining) {
            self.audit = Audit::from(number);
        }
        let expected = self.audit.next();
        let place = self.audit.note(number);
        if place != Place::Next && self.kind != Kind::Slow {
            shared.tally.describe(self.member, || match place {
                Place::Again => format!("{number} came again"),
                Place::Late => format!("{number} came after a later one"),
                _ => format!("{number} came where {expected} was expected"),
            });
        }
        self.parsed = self.audit.next();
        let topic = &mut shared.topics[self.topic as usize];
        if topic.first.is_none() {
            let id = String::from_utf8_lossy(self.scanner.id()).into_owned();
            topic.first = Some(Seen { id, number });
        }
        if place != Place::Again {
            let audience = shared.topics[self.topic as usize].audience;
            if shared.followed.follows(number) && self.is_followed() {
                shared.followed.reach(stamp.sequence, stamp.intended_ns, now_ns, audience);
            }
            shared.deliver(self.delivery(), stamp.into(), now_ns);
            shared.tally.last_delivery_ns = now_ns;
            self.look_at_catching_up(stamp.into(), now_ns, &mut shared.tally);
        }
        (place == Place::Next).then_some(stamp)
    }

    /// Whether it has caught up, now that the message `last` has come.
    #[inline]
    fn look_at_catching_up(&mut self, last: Sent, now_ns: u64, tally: &mut Tally) {
        let Some(behind) = self.catching_up else { return };
        let is_there = match behind.when {
            CaughtUp::Live => last.intended_ns >= behind.stood_ns,
            CaughtUp::Messages(count) => self.audit.next() >= count,
        };
        if is_there {
            self.catching_up = None;
            let us = now_ns.saturating_sub(behind.since_ns) / 1_000;
            tally.caught_up.saturating_record(us);
        }
    }
}

impl From<Stamp> for Sent {
    fn from(stamp: Stamp) -> Self {
        Self { intended_ns: stamp.intended_ns, sent_ns: stamp.sent_ns() }
    }
}

/// What one call of the parser has done.
#[derive(Clone, Copy, Debug)]
struct Parsed {
    used: usize,
    flow: Flow,
    /// The one event it found, when that was the message expected next.
    only_next: Option<Stamp>,
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
