//! Servers that answer as others do, each as its manual says, and remember what they were asked.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::Value;

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// Method and path with its query.
    pub(crate) line: String,
    /// Headers by name in lower case.
    pub(crate) headers: HashMap<String, String>,
    /// The body.
    pub(crate) body: String,
}

/// What a server makes of a request.
#[derive(Debug)]
pub(crate) enum Reaction {
    /// An event stream of a topic, with what stands at its beginning.
    Stream { topic: String, opening: &'static str },
    /// An event for all who subscribe to a topic, and the answer to its publisher; after
    /// [`CLOSING`] the connection is closed.
    Event { topic: String, event: String, answer: &'static str },
    /// Nothing but a status line.
    Refuse(&'static str),
}

/// A status line, and the header that ends the connection.
pub(crate) const CLOSING: &str = "200 OK\r\nConnection: close";

/// How one kind of server reacts to a request; a path it does not know is not found.
pub(crate) type Manners = fn(&Request) -> Option<Reaction>;

/// A server of some kind.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Request>>>,
}

#[derive(Debug)]
struct Server {
    manners: Manners,
    subscribers: Mutex<Vec<(String, TcpStream)>>,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Peer {
    /// Serves until the test process ends.
    pub(crate) fn serve(manners: Manners) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let asked = Arc::default();
        let server =
            Arc::new(Server { manners, subscribers: Mutex::default(), asked: Arc::clone(&asked) });
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let server = Arc::clone(&server);
                thread::spawn(move || server.talk(connection));
            }
        });
        Self { address, asked }
    }

    /// What it was asked by requests whose first line begins so.
    pub(crate) fn asked(&self, line: &str) -> Vec<Request> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().filter(|request| request.line.starts_with(line)).cloned().collect()
    }
}

impl Server {
    /// A client that breaks off ends its thread, nothing else.
    fn talk(&self, connection: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(connection);
        loop {
            let request = Request::read(&mut reader)?;
            self.asked.lock().ok()?.push(request.clone());
            let reaction = (self.manners)(&request).unwrap_or(Reaction::Refuse("404 Not Found"));
            match reaction {
                Reaction::Refuse(status) => answer(reader.get_mut(), status, "")?,
                Reaction::Event { topic, event, answer: status } => {
                    self.broadcast(&topic, &event)?;
                    answer(reader.get_mut(), status, "{}")?;
                    if status == CLOSING {
                        return Some(());
                    }
                }
                Reaction::Stream { topic, opening } => {
                    let mut connection = reader.into_inner();
                    let mut subscribers = self.subscribers.lock().ok()?;
                    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                                Transfer-Encoding: chunked\r\n\r\n";
                    connection.write_all((head.to_owned() + &chunk(opening)).as_bytes()).ok()?;
                    subscribers.push((topic, connection));
                    return Some(());
                }
            }
        }
    }

    fn broadcast(&self, topic: &str, event: &str) -> Option<()> {
        let chunk = chunk(event);
        for (_, connection) in
            self.subscribers.lock().ok()?.iter_mut().filter(|(wanted, _)| wanted == topic)
        {
            let _ = connection.write_all(chunk.as_bytes());
        }
        Some(())
    }
}

impl Request {
    fn read(reader: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut request = Self::default();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match (line.trim_end(), request.line.is_empty()) {
                ("", _) => break,
                (line, true) => request.line = line.trim_end_matches(" HTTP/1.1").to_owned(),
                (line, false) => {
                    let (name, value) = line.split_once(": ")?;
                    request.headers.insert(name.to_ascii_lowercase(), value.to_owned());
                }
            }
        }
        let len = request.header("content-length").parse().unwrap_or_default();
        let mut body = vec![0; len];
        reader.read_exact(&mut body).ok()?;
        request.body = String::from_utf8(body).ok()?;
        Some(request)
    }

    /// The value of a header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value)
    }

    /// What follows `start` in the first line.
    fn after(&self, start: &str) -> Option<String> {
        self.line.strip_prefix(start).map(percent_decode)
    }
}

fn chunk(text: &str) -> String {
    match text {
        "" => String::new(),
        text => format!("{:x}\r\n{text}\r\n", text.len()),
    }
}

fn answer(connection: &mut TcpStream, status: &str, body: &str) -> Option<()> {
    let rest = match status {
        "204 No Content" => "\r\n".to_owned(),
        _ => format!("Content-Length: {}\r\n\r\n{body}", body.len()),
    };
    let answer = format!("HTTP/1.1 {status}\r\n{rest}");
    connection.write_all(answer.as_bytes()).ok()
}

fn percent_decode(text: &str) -> String {
    let mut decoded = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let hex: Vec<u8> = if byte == b'%' { bytes.by_ref().take(2).collect() } else { vec![] };
        let digits = std::str::from_utf8(&hex).unwrap_or_default();
        decoded.push(u8::from_str_radix(digits, 16).unwrap_or(byte));
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// <https://mercure.rocks/spec>: both sides show a token, publishers send forms.
pub(crate) fn mercure(request: &Request) -> Option<Reaction> {
    if let Some(topic) = request.after("GET /.well-known/mercure?topic=") {
        return Some(match request.header("authorization") {
            "Bearer reader" => Reaction::Stream { topic, opening: ":\n" },
            _ => Reaction::Refuse("401 Unauthorized"),
        });
    }
    request.after("POST /.well-known/mercure")?;
    let form = "application/x-www-form-urlencoded";
    if request.header("authorization") != "Bearer writer" || request.header("content-type") != form
    {
        return Some(Reaction::Refuse("401 Unauthorized"));
    }
    let (topic, data) = request.body.strip_prefix("topic=")?.split_once("&data=")?;
    let event = format!("id: urn:uuid:{}\ndata: {data}\n\n", &data[..8]);
    Some(Reaction::Event { topic: percent_decode(topic), event, answer: "200 OK" })
}

/// <https://nchan.io/>: the path has the channel; who does not ask for an event stream gets none.
pub(crate) fn nchan(request: &Request) -> Option<Reaction> {
    if let Some(topic) = request.after("GET /sub/") {
        return Some(match request.header("accept") {
            "text/event-stream" => Reaction::Stream { topic, opening: ": hi\n\n" },
            _ => Reaction::Refuse("400 Bad Request"),
        });
    }
    let topic = request.after("POST /pub/")?;
    let event = format!("id: 1796000000:0\ndata: {}\n\n", request.body);
    Some(Reaction::Event { topic, event, answer: "201 Created" })
}

/// An application of go-sse, with the convention that the tester's help states.
pub(crate) fn go_sse(request: &Request) -> Option<Reaction> {
    if let Some(topic) = request.after("GET /events?topic=") {
        return Some(Reaction::Stream { topic, opening: "" });
    }
    let topic = request.after("POST /publish?topic=")?;
    let event = format!("data: {}\n\n", request.body);
    Some(Reaction::Event { topic, event, answer: "200 OK" })
}

/// <https://centrifugal.dev/docs/transports/uni_sse>: all it says is JSON, a ping too.
pub(crate) fn centrifugo(request: &Request) -> Option<Reaction> {
    const CONNECTED: &str = "data: {\"connect\":{\"client\":\"c0\",\"version\":\"6.2.0\",\
                             \"subs\":{\"load\":{}},\"ping\":25,\"session\":\"s0\"}}\n\n";
    if let Some(connect) = request.after("GET /connection/uni_sse?cf_connect=") {
        let connect: Value = serde_json::from_str(&connect).ok()?;
        let topic = connect["subs"].as_object()?.keys().next()?.clone();
        return Some(match connect["token"].as_str() {
            Some("reader") => Reaction::Stream { topic, opening: CONNECTED },
            _ => Reaction::Refuse("401 Unauthorized"),
        });
    }
    request.after("POST /api/publish")?;
    if request.header("x-api-key") != "writer" {
        return Some(Reaction::Refuse("401 Unauthorized"));
    }
    let message: Value = serde_json::from_str(&request.body).ok()?;
    let (topic, data) = (message["channel"].as_str()?, &message["data"]);
    let event =
        format!("data: {{\"channel\":\"{topic}\",\"pub\":{{\"data\":{data}}}}}\n\ndata: {{}}\n\n");
    Some(Reaction::Event { topic: topic.to_owned(), event, answer: "200 OK" })
}

/// <https://pushpin.org/docs/usage/>: content goes out as it is, whatever it is. A publisher's
/// connection ends after each answer (seen of version 1.36).
pub(crate) fn pushpin(request: &Request) -> Option<Reaction> {
    if let Some(topic) = request.after("GET /events/") {
        return Some(Reaction::Stream { topic, opening: "" });
    }
    request.after("POST /publish/")?;
    let items: Value = serde_json::from_str(&request.body).ok()?;
    let item = &items["items"][0];
    let content = item["formats"]["http-stream"]["content"].as_str()?.to_owned();
    let topic = item["channel"].as_str()?.to_owned();
    Some(Reaction::Event { topic, event: content, answer: CLOSING })
}

/// An event stream of some application, and its own way to publish.
pub(crate) fn plain(request: &Request) -> Option<Reaction> {
    if request.line == "GET /feed" {
        return Some(Reaction::Stream { topic: "feed".to_owned(), opening: "retry: 1000\n\n" });
    }
    request.after("POST /in")?;
    let message: Value = serde_json::from_str(&request.body).ok()?;
    let event = format!("data: {}\n\n", message["say"].as_str()?);
    Some(Reaction::Event { topic: "feed".to_owned(), event, answer: "204 No Content" })
}
