//! A subscriber that holds the server to its wire format: whole events in every chunk, LF only, the
//! fields in their order, one space after the colon.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use super::{Connection, PATIENCE, Response, Server, query_of_topics};

/// An event as it came.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) retry: Option<u64>,
    pub(crate) data: Option<String>,
}

impl Event {
    /// Its id.
    pub(crate) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_else(|| panic!("no id in {self:?}"))
    }

    /// Its data.
    pub(crate) fn data(&self) -> &str {
        self.data.as_deref().unwrap_or_else(|| panic!("no data in {self:?}"))
    }

    /// Its data as a number, for messages that count.
    pub(crate) fn number(&self) -> u64 {
        self.data().parse().unwrap_or_else(|_| panic!("no number in {self:?}"))
    }

    /// The sequence in its automatic id.
    pub(crate) fn sequence(&self) -> u64 {
        sequence_of(self.id())
    }
}

/// The sequence in `<8 hex epoch>-<decimal sequence>`.
pub(crate) fn sequence_of(id: &str) -> u64 {
    let (epoch, sequence) = id.split_once('-').unwrap_or_else(|| panic!("no automatic id: {id}"));
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    assert!(epoch.len() == 8 && epoch.bytes().all(is_hex), "no epoch in {id}");
    sequence.parse().unwrap_or_else(|_| panic!("no sequence in {id}"))
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// With the last chunk.
    InOrder,
    /// By a close or a reset.
    Cut,
}

/// One subscription on a connection of its own.
#[derive(Debug)]
pub(crate) struct Subscriber {
    connection: Connection,
    head: Response,
    /// Event bytes out of their chunks, up to the last blank line consumed.
    stream: Vec<u8>,
    events: VecDeque<Event>,
    comments: usize,
    come_back: Option<u64>,
    end: Option<End>,
}

impl Subscriber {
    /// Subscribes to topics; to the default topic if none is named.
    pub(crate) fn open(server: &Server, topics: &[&str]) -> Self {
        Self::send(server, topics).accepted()
    }

    /// Subscribes as a client that has seen everything up to an id.
    pub(crate) fn resume(server: &Server, topics: &[&str], last_event_id: &str) -> Self {
        let query = query_of_topics(topics);
        let request = format!(
            "GET /events{query} HTTP/1.1\r\nHost: test\r\nLast-Event-ID: {last_event_id}\r\n\r\n"
        );
        Self::request(server.connect(), &request)
    }

    /// Sends a request on the connection and takes it over as a stream of events.
    pub(crate) fn request(mut connection: Connection, request: &str) -> Self {
        connection.send(request.as_bytes());
        Pending(connection).accepted()
    }

    /// Asks for a subscription without waiting for the answer, so that thousands can be on their
    /// way at once.
    pub(crate) fn send(server: &Server, topics: &[&str]) -> Pending {
        let mut connection = server.connect();
        let query = query_of_topics(topics);
        connection.send(format!("GET /events{query} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes());
        Pending(connection)
    }

    /// Waits for the answer to a subscription that was asked for on this connection; a refusal comes whole.
    pub(crate) fn answered_on(connection: Connection) -> Result<Self, Response> {
        Pending(connection).answered()
    }

    /// Takes a connection over as a stream of events of which the head was read.
    pub(crate) fn after(head: Response, connection: Connection) -> Self {
        let (stream, events) = (Vec::new(), VecDeque::new());
        let mut subscriber =
            Self { connection, head, stream, events, comments: 0, come_back: None, end: None };
        subscriber.decode();
        subscriber
    }

    /// The head of the answer.
    pub(crate) const fn head(&self) -> &Response {
        &self.head
    }

    /// How many lines were comments so far.
    pub(crate) const fn comments(&self) -> usize {
        self.comments
    }

    /// The next event.
    ///
    /// # Panics
    ///
    /// If none comes, or the stream ends.
    pub(crate) fn next(&mut self) -> Event {
        match self.next_within(PATIENCE) {
            Some(Ok(event)) => event,
            Some(Err(end)) => panic!("the stream ended instead of going on: {end:?}"),
            None => panic!("no event within {PATIENCE:?}"),
        }
    }

    /// The next `count` events.
    pub(crate) fn take(&mut self, count: usize) -> Vec<Event> {
        (0..count).map(|_| self.next()).collect()
    }

    /// All events until the stream ends, which it must. A last word about when to come back is not
    /// among them.
    pub(crate) fn until_end(&mut self) -> (Vec<Event>, End) {
        let mut events = Vec::new();
        loop {
            match self.next_within(PATIENCE).expect("the stream goes on or ends") {
                Ok(Event { id: None, kind: None, retry: Some(millis), data: None }) => {
                    let before = self.come_back.replace(millis);
                    assert_eq!(before, None, "it is said once");
                }
                Ok(event) => {
                    assert_eq!(self.come_back, None, "it is the last word");
                    events.push(event);
                }
                Err(end) => return (events, end),
            }
        }
    }

    /// After how many milliseconds it was asked to come back.
    pub(crate) const fn come_back(&self) -> Option<u64> {
        self.come_back
    }

    /// The next event, the end of the stream, or `None` when neither came in that time.
    pub(crate) fn next_within(&mut self, patience: Duration) -> Option<Result<Event, End>> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(Ok(event));
            }
            if let Some(end) = self.end {
                return Some(Err(end));
            }
            match self.connection.fill(deadline) {
                Ok(0) => self.end = Some(End::Cut),
                Ok(_) => self.decode(),
                Err(error) if error.kind() == ErrorKind::TimedOut => return None,
                Err(_reset) => self.end = Some(End::Cut),
            }
        }
    }

    /// Takes everything that has arrived through the chunks to events.
    fn decode(&mut self) {
        if self.head.is_chunked() {
            self.unwrap_chunks();
        } else {
            self.stream.append(self.connection.received());
        }
        let mut start = 0;
        while let Some(len) = blank_line(&self.stream[start..]) {
            let text = std::str::from_utf8(&self.stream[start..start + len]).expect("UTF-8");
            self.comments += text.lines().filter(|line| line.starts_with(':')).count();
            self.events.extend(parse(text));
            start += len;
        }
        self.stream.drain(..start);
    }

    fn unwrap_chunks(&mut self) {
        let received = self.connection.received();
        let mut start = 0;
        while let Some((header, len)) = chunk_header(&received[start..]) {
            let data = start + header;
            let Some(chunk) = received.get(data..data + len + 2) else { break };
            assert!(self.end.is_none(), "bytes after the last chunk: {chunk:?}");
            let (chunk, line_end) = chunk.split_at(len);
            assert_eq!(line_end, b"\r\n", "a chunk ends in CRLF");
            if len == 0 {
                self.end = Some(End::InOrder);
            } else {
                assert!(chunk.ends_with(b"\n\n"), "a chunk ends where an event ends: {chunk:?}");
            }
            self.stream.extend_from_slice(chunk);
            start = data + len + 2;
        }
        received.drain(..start);
    }
}

/// A subscription asked for and not yet answered.
#[derive(Debug)]
pub(crate) struct Pending(Connection);

impl Pending {
    /// Waits for the head, which must accept it.
    pub(crate) fn accepted(self) -> Subscriber {
        self.answered().unwrap_or_else(|refusal| panic!("a subscription is refused: {refusal:?}"))
    }

    /// Waits for the head, which may also refuse it.
    pub(crate) fn answered(self) -> Result<Subscriber, Response> {
        let Self(mut connection) = self;
        let head = connection.head();
        if head.status != 200 {
            return Err(connection.body_of(head));
        }
        Ok(Subscriber::after(head, connection))
    }
}

/// The length of a chunk's header and of its data.
fn chunk_header(bytes: &[u8]) -> Option<(usize, usize)> {
    let end = bytes.windows(2).position(|window| window == b"\r\n")?;
    let digits = std::str::from_utf8(&bytes[..end]).expect("a chunk's size is ASCII");
    let len = usize::from_str_radix(digits, 16)
        .unwrap_or_else(|_| panic!("not a chunk's size: {digits:?}"));
    Some((end + 2, len))
}

/// The length of the first event, with the blank line that ends it.
fn blank_line(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|window| window == b"\n\n").map(|at| at + 2)
}

/// Parses one event; nothing if it holds only comments, as a heartbeat does.
fn parse(text: &str) -> Option<Event> {
    assert!(!text.contains('\r'), "a CR on the wire: {text:?}");
    let mut event = Event::default();
    for line in text.trim_end_matches('\n').split('\n') {
        if line.starts_with(':') {
            continue;
        }
        let (field, value) =
            line.split_once(": ").unwrap_or_else(|| panic!("no field: {line:?} in {text:?}"));
        let in_order = match field {
            "id" => event == Event::default() && event.id.replace(value.to_owned()).is_none(),
            "event" => {
                event.retry.is_none()
                    && event.data.is_none()
                    && event.kind.replace(value.to_owned()).is_none()
            }
            "retry" => {
                let retry = value.parse().unwrap_or_else(|_| panic!("no retry time: {line:?}"));
                event.data.is_none() && event.retry.replace(retry).is_none()
            }
            "data" => {
                match &mut event.data {
                    None => event.data = Some(value.to_owned()),
                    Some(data) => data.extend(["\n", value]),
                }
                true
            }
            _ => panic!("unknown field: {line:?} in {text:?}"),
        };
        assert!(in_order, "fields out of order: {text:?}");
    }
    (event != Event::default()).then_some(event)
}
