//! Plays a case: on many connections at once, each of which gets the same bytes cut elsewhere.

use std::thread;
use std::time::Duration;

use super::case::{Case, Names, Then};
use super::subject::Subject;
use crate::harness::{Connection, Publisher, Response, Subscriber};

/// What comes behind a case's request, and must not be read where its connection ends with it.
const MARKER: &str = "marker";

/// Longer requests are not cut everywhere, unless [`is_thorough`].
const CUT_EVERYWHERE_MAX: usize = 2_048;

/// Those beyond this never are: each cut sends all of it.
const CUT_EVERYWHERE_EVER: usize = 128 * 1024;

/// Nor are those beyond this behind another request, where few are played at a time.
const LATER_CUT_EVERYWHERE_EVER: usize = HEAD_BYTES_MAX + 4 * 1024;

/// Connections of a case at a time, where there are as many as offsets: each of a long request has a thread.
const CONNECTIONS_AT_A_TIME: usize = 1_024;

/// Those behind another request are in the control runtime, which has 2,048 places, and others are played
/// meanwhile.
const LATER_AT_A_TIME: usize = 64;

/// In about so many places instead.
const SOME: usize = 10;

/// The bound of the head is about there.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Connections that show that the server has looked at what came before them: on each of its cores.
const BARRIERS: usize = 8;

/// What comes before the case's request on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    Nothing,
    /// A request that is answered before the case's request is sent.
    Answered,
    /// A request in the same bytes.
    Pipelined,
}

/// How a connection's bytes are cut, by offsets in the case's request.
#[derive(Clone, Debug)]
pub(super) enum Cut {
    Whole,
    At(usize),
    Bytewise,
}

/// What came of a request: the statuses of its answer and of those after it, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) statuses: Vec<u16>,
    pub(super) is_stream: bool,
}

/// One case over one server.
pub(super) struct Play<'s> {
    subject: &'s Subject,
    case: &'s Case,
    topic: String,
    request: Vec<u8>,
    before: Before,
    witness: Subscriber,
}

/// Whether every request of up to [`CUT_EVERYWHERE_EVER`] is cut at every offset, as
/// `FANFARE_TEST_EVERY_CUT` asks for. That takes minutes.
pub(super) fn is_thorough() -> bool {
    std::env::var_os("FANFARE_TEST_EVERY_CUT").is_some()
}

impl<'s> Play<'s> {
    /// `name` tells its topic from those of other plays.
    pub(super) fn new(subject: &'s Subject, case: &'s Case, before: Before, name: &str) -> Self {
        let (server, topic) = (&subject.server, format!("{}-{name}", case.name));
        let known = server.publish(&["epoch"], "x").id;
        let (epoch, _) = known.split_once('-').expect("an automatic id");
        let host = server.address().to_string();
        let names = Names { host, topic: topic.clone(), epoch: epoch.to_owned() };
        let witness = subject.subscribe(&topic);
        let request = case.bytes(&names, subject);
        Self { subject, case, topic, request, before, witness }
    }

    /// As the other one, in HTTP/1.0.
    pub(super) fn in_http_1_0(mut self) -> Self {
        let (from, to) = (b" HTTP/1.1\r\n", b" HTTP/1.0\r\n");
        for at in 0..self.request.len().saturating_sub(from.len() - 1) {
            if self.request[at..].starts_with(from) {
                self.request[at..at + to.len()].copy_from_slice(to);
            }
        }
        self
    }

    /// All the cuts there are to try, or some of those of a long request.
    pub(super) fn cuts(&self) -> Vec<Cut> {
        let len = self.request.len();
        let ever = match self.before {
            Before::Nothing => CUT_EVERYWHERE_EVER,
            // Few at a time, each as long as a deadline: an hour.
            _ if self.case.is_slow => CUT_EVERYWHERE_MAX,
            Before::Answered | Before::Pipelined => LATER_CUT_EVERYWHERE_EVER,
        };
        let is_thorough = is_thorough() && len <= ever;
        let is_tried = |at: &usize| {
            len <= CUT_EVERYWHERE_MAX
                || is_thorough
                || at.is_multiple_of(len / SOME)
                || at.abs_diff(HEAD_BYTES_MAX) < 3
                || len - at < 4
        };
        (1..len).filter(is_tried).map(Cut::At).chain([Cut::Bytewise]).collect()
    }

    /// Plays it once for each of `cuts`, many at the same time, and checks what was published and that
    /// the streams are.
    pub(super) fn play(&mut self, cuts: &[Cut]) -> Vec<Outcome> {
        let at_a_time = match self.before {
            _ if !is_thorough() => cuts.len(),
            Before::Nothing => CONNECTIONS_AT_A_TIME,
            Before::Answered | Before::Pipelined => LATER_AT_A_TIME,
        };
        cuts.chunks(at_a_time).flat_map(|cuts| self.play_at_once(cuts)).collect()
    }

    fn play_at_once(&mut self, cuts: &[Cut]) -> Vec<Outcome> {
        let mut connections: Vec<_> = cuts.iter().map(|_| self.connect()).collect();
        self.on_each(&mut connections, cuts, Self::send_first);
        self.pass_barrier();
        self.on_each(&mut connections, cuts, Self::send_rest);
        let (mut outcomes, mut streams, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        for connection in connections {
            let (outcome, stream, bodies) = self.outcome(connection);
            outcomes.push(outcome);
            streams.extend(stream);
            answers.extend(bodies);
        }
        self.check_published(&answers, streams);
        outcomes
    }

    /// One after the other; where it may block on a server that throws away what it gets, at once.
    fn on_each(
        &self,
        connections: &mut [Connection],
        cuts: &[Cut],
        send: fn(&Self, &mut Connection, &Cut),
    ) {
        thread::scope(|scope| {
            for (connection, cut) in connections.iter_mut().zip(cuts) {
                if self.request.len() <= CUT_EVERYWHERE_MAX {
                    send(self, connection, cut);
                } else {
                    scope.spawn(move || send(self, connection, cut));
                }
            }
        });
    }

    fn connect(&self) -> Connection {
        let mut connection = self.subject.server.connect();
        if self.before == Before::Answered {
            assert_eq!(connection.get("/health").status, 200);
        }
        connection
    }

    fn send_first(&self, connection: &mut Connection, cut: &Cut) {
        let mut first = Vec::new();
        if self.before == Before::Pipelined {
            first.extend_from_slice(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n");
        }
        match cut {
            Cut::Whole => {
                first.extend_from_slice(&self.request);
                first.extend_from_slice(&self.behind());
            }
            Cut::At(at) => first.extend_from_slice(&self.request[..*at]),
            Cut::Bytewise => {}
        }
        send(connection, &first);
        if matches!(cut, Cut::Whole) && self.request.is_empty() {
            connection.finish();
        }
    }

    fn send_rest(&self, connection: &mut Connection, cut: &Cut) {
        match cut {
            Cut::Whole => {}
            Cut::At(at) => {
                send(connection, &[&self.request[*at..], &self.behind()].concat());
            }
            Cut::Bytewise => {
                let (near, far) = self.request.split_at(self.request.len().min(HEAD_BYTES_MAX + 8));
                for (at, byte) in near.iter().enumerate() {
                    if connection.try_send(&[*byte]).is_err() {
                        return;
                    }
                    if at < CUT_EVERYWHERE_MAX {
                        // The server reads it meanwhile, most of the time.
                        thread::sleep(Duration::from_micros(100));
                    }
                }
                send(connection, &[far, &self.behind()].concat());
            }
        }
    }

    /// Another request, for the same topic.
    fn behind(&self) -> Vec<u8> {
        match self.case.then {
            // In a body that does not end, it would be part of it.
            Then::Close | Then::Stream if self.case.is_slow || self.request.is_empty() => {
                Vec::new()
            }
            Then::Close | Then::Stream => format!(
                "POST /publish?topic={} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\
                 Content-Length: {}\r\n\r\n{MARKER}",
                self.topic,
                MARKER.len()
            )
            .into_bytes(),
            Then::Keep | Then::Any => {
                b"GET /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".to_vec()
            }
        }
    }

    /// Returns after the server has looked at what was there.
    fn pass_barrier(&self) {
        for _ in 0..BARRIERS {
            assert_eq!(self.subject.server.get("/health").status, 200);
        }
    }

    /// Reads to the end of the connection, or to its stream. Also gives what accepted publishes said.
    fn outcome(&self, mut connection: Connection) -> (Outcome, Option<Subscriber>, Vec<Response>) {
        let (mut statuses, mut accepted) = (Vec::new(), Vec::new());
        if self.before == Before::Pipelined
            && let Some(head) = connection.head_or_end()
        {
            assert_eq!(connection.body_of(head).status, 200, "{}", self.case.name);
        }
        while let Some(head) = connection.head_or_end() {
            let is_head = statuses.is_empty() && self.request.starts_with(b"HEAD ");
            statuses.push(head.status);
            if is_head {
                continue;
            }
            if head.is_stream() {
                let outcome = Outcome { statuses, is_stream: true };
                return (outcome, Some(Subscriber::after(head, connection)), accepted);
            }
            let answer = connection.body_of(head);
            if answer.status == 202 {
                accepted.push(answer);
            }
        }
        (Outcome { statuses, is_stream: false }, None, accepted)
    }

    /// What was accepted was published once, and nothing else; and the streams have it.
    fn check_published(&mut self, accepted: &[Response], streams: Vec<Subscriber>) {
        let name = &self.case.name;
        let last = Publisher::open(&self.subject.server).text(&[&self.topic], "last").id;
        let mut published = Vec::new();
        loop {
            let event = self.witness.next();
            if event.id() == last {
                break;
            }
            assert_ne!(event.data(), MARKER, "{name}: what is behind the request was read as one");
            published.push(event.id().to_owned());
        }
        let mut told: Vec<_> = accepted
            .iter()
            .map(|answer| {
                let answer: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
                answer["id"].as_str().expect("an id").to_owned()
            })
            .collect();
        published.sort();
        told.sort();
        assert_eq!(published, told, "{name}: what is accepted is what is published");
        // One that claims to have seen the future is given nothing of the present.
        if name != "leid-future" {
            for mut stream in streams {
                while stream.next().id.as_deref() != Some(&last) {}
            }
        }
    }
}

/// The server may have hung up.
fn send(connection: &mut Connection, bytes: &[u8]) {
    let _ = connection.try_send(bytes);
}
