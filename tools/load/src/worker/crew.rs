//! The members of one worker, and what they have in common: one receive buffer, one set of counters
//! and one cache of proven frames, borrowed only between two waits.

use std::io;
use std::rc::Rc;

use super::audit::Faults;
use super::framing::Framing;
use super::link::Link;
use super::protocol::{Connect, Resume, Seen, Setup, Standing, of_topic};
use super::slice::Tally;
use super::stream::{Flow, Kind, Shared, Stream};
use crate::http;
use crate::payload::Format;

/// Bytes of one read: large enough that a read brings many events, small enough to stay in cache.
const READ_BYTES: usize = 64 * 1024;
/// Full reads before the other members get their turn.
const READS_PER_TURN: usize = 4;

/// All members of one worker.
#[derive(Debug)]
pub(crate) struct Crew {
    /// What their streams share.
    pub(crate) shared: Shared,
    members: Vec<Member>,
    standing: Standing,
    /// Faults of the stays that are over.
    past: Faults,
    buffer: Vec<u8>,
}

/// One member. Its number here is its place among those of its worker.
#[derive(Debug)]
pub(crate) struct Member {
    stream: Stream,
    /// Its connection, while there is one.
    link: Option<Rc<Link>>,
    stage: Stage,
    /// The response head, as far as it has come.
    head: Vec<u8>,
    /// This side wants its connection to end.
    leaving: bool,
    bytes_per_second: Option<u64>,
}

/// How far a member's connection has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// There is none.
    Away,
    /// One is to come.
    Called,
    /// It was begun at this time.
    Pending { intended_ns: u64 },
    /// The answer's first byte has come.
    Answered { intended_ns: u64 },
    /// The stream stands.
    Up,
}

impl Crew {
    /// The members of a worker, none connected.
    pub(crate) fn new(setup: &Setup) -> Self {
        let topics = setup.topics.len() as u32;
        let own = (setup.worker..setup.subscribers).step_by(setup.workers as usize);
        let kind = |member: u32| match member {
            slow if setup.slow.contains(&slow) => Kind::Slow,
            passing if setup.passing.contains(&passing) => Kind::Passing,
            _ => Kind::Whole,
        };
        let mut audiences = vec![0; setup.topics.len()];
        for member in own.clone().filter(|&member| kind(member) == Kind::Whole) {
            audiences[(member % topics) as usize] += 1;
        }
        let format = Format::new(setup.payload_bytes, setup.payload_seed);
        let payload = setup.target.payload.clone();
        let shared = Shared::new(format, payload, setup.late_after_ns, audiences)
            .blindly(setup.blind)
            .following(setup.follow_one_in);
        Self {
            shared,
            members: own
                .map(|member| Member::new(Stream::new(member, member % topics, kind(member))))
                .collect(),
            standing: Standing::default(),
            past: Faults::default(),
            buffer: vec![0; READ_BYTES],
        }
    }

    /// How its members stand.
    pub(crate) fn standing(&self) -> Standing {
        let tally = &self.shared.tally;
        let mut standing = self.standing;
        standing += Standing {
            delivered: tally.delivered,
            bytes: tally.bytes,
            caught_up: tally.caught_up.len(),
            faults: tally.faults + tally.late,
            ..Standing::default()
        };
        standing
    }

    /// Takes what was counted since the last time.
    pub(crate) fn take_tally(&mut self) -> Tally {
        self.standing = self.standing();
        std::mem::take(&mut self.shared.tally)
    }

    /// Bytes that a member has not read yet; `None`: it is not connected.
    pub(crate) fn unread(&self, place: usize) -> Option<u64> {
        self.members.get(place)?.link.as_ref()?.unread().ok()
    }

    /// How many members there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Gives a member that is away a connection to come; tells whether it was.
    pub(crate) fn call(&mut self, place: usize) -> bool {
        let member = &mut self.members[place];
        let is_away = member.stage == Stage::Away;
        if is_away {
            member.stage = Stage::Called;
            self.standing.pending += 1;
        }
        is_away
    }

    /// A member's connection begins. Returns the id it comes back with, if it has one.
    pub(crate) fn begin(
        &mut self,
        place: usize,
        intended_ns: u64,
        resume: &Resume,
    ) -> Option<Vec<u8>> {
        let Self { shared, members, .. } = self;
        let member = &mut members[place];
        shared.tally.attempted += 1;
        shared.tally.first_attempt_ns.get_or_insert(intended_ns);
        member.stage = Stage::Pending { intended_ns };
        member.head.clear();
        let stream = &mut member.stream;
        match resume {
            Resume::Nothing if stream.kind() == Kind::Passing => {
                stream.begin(None);
                None
            }
            Resume::Nothing => None,
            Resume::Last => stream.last_id(shared),
            Resume::From(seen) => {
                let Seen { id, number } = &seen[stream.topic() as usize];
                stream.begin(Some(*number));
                Some(id.clone().into_bytes())
            }
        }
    }

    /// A member's TCP connection stands. Tells whether it is still wanted.
    pub(crate) fn connected(&mut self, place: usize, link: &Rc<Link>, now_ns: u64) -> bool {
        let member = &mut self.members[place];
        if let Stage::Pending { intended_ns } = member.stage {
            self.shared.tally.tcp.saturating_record(now_ns.saturating_sub(intended_ns) / 1_000);
        }
        member.link = Some(Rc::clone(link));
        !member.leaving
    }

    /// Whether a member's stream stands.
    pub(crate) fn is_up(&self, place: usize) -> bool {
        self.members[place].stage == Stage::Up
    }

    /// How fast a member may read; `None`: as it can.
    pub(crate) fn bytes_per_second(&self, place: usize) -> Option<u64> {
        self.members[place].bytes_per_second
    }

    /// From now on a member reads so fast.
    pub(crate) fn throttle(&mut self, place: usize, bytes_per_second: u64) {
        self.members[place].bytes_per_second = Some(bytes_per_second);
    }

    /// This side ends a member's connection, which wakes and ends its task.
    pub(crate) fn leave(&mut self, place: usize) {
        let member = &mut self.members[place];
        if member.stage == Stage::Away {
            return;
        }
        member.leaving = true;
        if let Some(link) = &member.link {
            let _ = link.stop_reading();
        }
    }

    /// Whether this side wants a member's connection to end.
    pub(crate) fn is_leaving(&self, place: usize) -> bool {
        self.members[place].leaving
    }

    /// Members that are not away.
    pub(crate) fn present(&self) -> usize {
        self.members.iter().filter(|member| member.stage != Stage::Away).count()
    }

    /// A member's connection has ended.
    pub(crate) fn end(&mut self, place: usize, outcome: io::Result<()>) {
        let Self { shared, members, standing, past, .. } = self;
        let member = &mut members[place];
        member.link = None;
        let was_wanted = !std::mem::take(&mut member.leaving);
        let was_up = std::mem::replace(&mut member.stage, Stage::Away) == Stage::Up;
        let why = || match &outcome {
            Ok(()) => "the server ended the stream".to_owned(),
            Err(error) => error.to_string(),
        };
        if was_up {
            standing.up -= 1;
        } else {
            standing.pending -= 1;
        }
        let kind = member.stream.kind();
        match (was_up, was_wanted) {
            (true, true) if kind == Kind::Slow => shared.tally.slow_cut += 1,
            (true, true) => {
                standing.cut += 1;
                shared.tally.cut += 1;
                let number = member.stream.member();
                shared.tally.describe(number, || format!("cut: {}", why()));
            }
            (false, true) => {
                standing.failed += 1;
                shared.tally.failed += 1;
                shared.tally.first_failure.get_or_insert_with(why);
            }
            (_, false) => {}
        }
        if kind == Kind::Passing {
            shared.tally.went += u64::from(was_up && !was_wanted);
            // What was published after it left, or while it was joining, is no concern of its own.
            *past += member.stream.audit().close(member.stream.audit().next());
            member.stream.begin(None);
        }
    }

    /// Closes the books: the faults of all, when so many messages were published.
    pub(crate) fn close(&self, published: u64, topics: u64) -> Faults {
        let mut faults = self.past;
        for stream in self.members.iter().map(|member| &member.stream) {
            let topic = u64::from(stream.topic());
            let of_topic = of_topic(published, topic, topics);
            let audit = stream.audit();
            faults += match stream.kind() {
                Kind::Whole => audit.close(of_topic),
                Kind::Passing => audit.close(audit.next()),
                // What it missed and what it was sent again is the server's policy.
                Kind::Slow => {
                    let Faults { corrupted, misrouted, .. } = audit.close(audit.next());
                    Faults { corrupted, misrouted, ..Faults::default() }
                }
            };
        }
        faults
    }

    /// Reads what has come for one member, up to its fair share. Tells whether more may come.
    pub(crate) fn read_turn(
        &mut self,
        place: usize,
        link: &Link,
        order: &Connect,
        now_ns: impl Fn() -> u64,
    ) -> io::Result<bool> {
        for _ in 0..READS_PER_TURN {
            let room = self.buffer.len();
            let Some(len) = read(link, &mut self.buffer)? else { break };
            if len == 0 || self.take_in(place, len, order, now_ns())? == Flow::Ended {
                return Ok(false);
            }
            if len < room {
                break;
            }
        }
        Ok(true)
    }

    /// Reads at most `room` bytes for one member. Tells how many; `None`: the stream has ended.
    pub(crate) fn read_some(
        &mut self,
        place: usize,
        link: &Link,
        room: usize,
        order: &Connect,
        now_ns: u64,
    ) -> io::Result<Option<usize>> {
        let room = room.min(self.buffer.len());
        let Some(len) = read(link, &mut self.buffer[..room])? else { return Ok(Some(0)) };
        if len == 0 || self.take_in(place, len, order, now_ns)? == Flow::Ended {
            return Ok(None);
        }
        Ok(Some(len))
    }

    /// Takes in the first `len` bytes of the buffer.
    fn take_in(
        &mut self,
        place: usize,
        len: usize,
        order: &Connect,
        now_ns: u64,
    ) -> io::Result<Flow> {
        let Self { shared, members, standing, buffer, .. } = self;
        let member = &mut members[place];
        let bytes = &buffer[..len];
        let flow = match member.stage {
            Stage::Up => member.stream.feed(bytes, now_ns, shared),
            _ => {
                let flow = member.take_in_head(bytes, order, now_ns, shared)?;
                if member.stage == Stage::Up {
                    standing.pending -= 1;
                    standing.up += 1;
                }
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
    fn new(stream: Stream) -> Self {
        Self {
            stream,
            link: None,
            stage: Stage::Away,
            head: Vec::new(),
            leaving: false,
            bytes_per_second: None,
        }
    }

    fn take_in_head(
        &mut self,
        bytes: &[u8],
        order: &Connect,
        now_ns: u64,
        shared: &mut Shared,
    ) -> io::Result<Flow> {
        if let Stage::Pending { intended_ns } = self.stage {
            let us = now_ns.saturating_sub(intended_ns) / 1_000;
            shared.tally.first_byte.saturating_record(us);
            self.stage = Stage::Answered { intended_ns };
        }
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
        self.stand(framing, order, now_ns, shared);
        let received = std::mem::take(&mut self.head);
        Ok(self.stream.feed(&received[head.len..], now_ns, shared))
    }

    fn stand(&mut self, framing: Framing, order: &Connect, now_ns: u64, shared: &mut Shared) {
        let Stage::Answered { intended_ns } = self.stage else { return };
        self.stage = Stage::Up;
        self.stream.connect(framing);
        shared.tally.connected += 1;
        shared.tally.last_connected_ns = now_ns;
        if let Some(since_ns) = order.since_ns {
            shared.tally.back.saturating_record(now_ns.saturating_sub(since_ns) / 1_000);
        }
        if let Some(when) = order.caught_up {
            self.stream.catch_up(order.since_ns.unwrap_or(intended_ns), now_ns, when);
        }
    }
}

/// Reads what there is. `None`: nothing.
fn read(link: &Link, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match link.try_read(buffer) {
            Ok(len) => return Ok(Some(len)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
