//! A small event-stream server that does to each delivery what a plan says.
//!
//! `GET` subscribes, `POST` publishes (NDJSON in chunks, or text with a length). One thread per
//! connection; the publisher's thread writes to all subscribers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::acts::{Act, Sent, Stage};

/// How the server behaves.
#[derive(Debug)]
pub(crate) struct Mock {
    /// What becomes of message `.1` at subscriber `.0`, both counted from 0 in their topic; the
    /// subscribers of the next topic are counted on from [`NEXT_TOPIC`].
    pub(crate) act: fn(usize, usize) -> Act,
    /// How many topics there are; several are named with their number behind a hyphen.
    pub(crate) topics: usize,
    /// Status line of a subscription.
    pub(crate) subscribe_status: &'static str,
    /// So many subscriptions are answered so; to those after them the server has no place.
    pub(crate) places: usize,
    /// Status line of a publish.
    pub(crate) publish_status: &'static str,
    /// Whether event streams come in chunks.
    pub(crate) chunked: bool,
}

/// What is between the first subscriber of a topic and that of the next.
pub(crate) const NEXT_TOPIC: usize = 1_000;

struct Subscriber {
    connection: TcpStream,
    topic: usize,
    stage: Stage,
}

struct Server {
    mock: Mock,
    subscribers: Mutex<Vec<Subscriber>>,
    /// The newest message, whatever its topic.
    newest: Mutex<String>,
}

impl Mock {
    /// A server without fault.
    pub(crate) fn faultless() -> Self {
        Self {
            act: |_, _| Act::Send,
            topics: 1,
            subscribe_status: "200 OK",
            places: usize::MAX,
            publish_status: "202 Accepted",
            chunked: true,
        }
    }

    /// Serves until the test process ends.
    pub(crate) fn serve(self) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let server = Arc::new(Server {
            mock: self,
            subscribers: Mutex::default(),
            newest: Mutex::default(),
        });
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let server = Arc::clone(&server);
                thread::spawn(move || server.talk(connection));
            }
        });
        address
    }
}

impl Server {
    /// A client that breaks off ends its thread, nothing else.
    fn talk(&self, connection: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(connection);
        while let Some(head) = read_head(&mut reader) {
            if head.starts_with("GET") {
                return self.subscribe(reader.into_inner(), topic(&head, self.mock.topics));
            }
            let count = match head.contains("chunked") {
                true => self.publish_lines(&mut reader)?,
                false => self.publish_text(&mut reader, &head)?,
            };
            let body = format!("{{\"id\":\"x\",\"published\":{count}}}");
            let (status, len) = (self.mock.publish_status, body.len());
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\n\r\n{body}");
            reader.get_mut().write_all(answer.as_bytes()).ok()?;
        }
        Some(())
    }

    fn subscribe(&self, mut connection: TcpStream, topic: usize) -> Option<()> {
        let framing = if self.mock.chunked { "Transfer-Encoding: chunked\r\n" } else { "" };
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        let status = match subscribers.len() < self.mock.places {
            true => self.mock.subscribe_status,
            false => "503 Service Unavailable",
        };
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Type: text/event-stream; x=y\r\n{framing}\r\n");
        connection.write_all(head.as_bytes()).ok()?;
        subscribers.push(Subscriber { connection, topic, stage: Stage::default() });
        Some(())
    }

    fn publish_lines(&self, reader: &mut BufReader<TcpStream>) -> Option<usize> {
        let (mut count, mut lines) = (0, Vec::new());
        if !self.mock.publish_status.starts_with('2') {
            return Some(0);
        }
        loop {
            let chunk = read_chunk(reader)?;
            if chunk.is_empty() {
                return Some(count);
            }
            lines.extend_from_slice(&chunk);
            while let Some(end) = lines.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = lines.drain(..=end).collect();
                let message: Value = serde_json::from_slice(&line).ok()?;
                let data = message["data"].as_str()?;
                self.broadcast(data, sequence(data)?);
                count += 1;
            }
        }
    }

    fn publish_text(&self, reader: &mut BufReader<TcpStream>, head: &str) -> Option<usize> {
        let len = head.split("Content-Length: ").nth(1)?.split('\r').next()?;
        let mut body = vec![0; len.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        let text = String::from_utf8(body).ok()?;
        self.broadcast(&text, sequence(&text)?);
        Some(1)
    }

    /// Message i goes to topic i modulo their number.
    fn broadcast(&self, data: &str, sequence: usize) {
        let (message, topic) = (sequence / self.mock.topics, sequence % self.mock.topics);
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let other = std::mem::replace(&mut *newest, data.to_owned());
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        let interested = subscribers.iter_mut().filter(|subscriber| subscriber.topic == topic);
        for (index, subscriber) in interested.enumerate() {
            let act = (self.mock.act)(topic * NEXT_TOPIC + index, message);
            let mut due = Vec::new();
            for sent in subscriber.stage.play(act, message, data) {
                match sent {
                    Sent::Later(after, data) => {
                        let frame = self.frame(&event(message, &data));
                        subscriber.write_after(after, frame);
                    }
                    Sent::Half(data) => {
                        let frame = self.frame(&event(message, &data));
                        due.extend_from_slice(&frame[..frame.len() / 2]);
                    }
                    Sent::Intact(number, data) | Sent::Wrong(number, data) => {
                        due.extend(self.frame(&event(number, &data)));
                    }
                    Sent::Other => due.extend(self.frame(&event(message, &other))),
                    Sent::Named => due.extend(self.frame("event: other\ndata: not ours\n\n")),
                    Sent::Heartbeat(data) => {
                        due.extend(self.frame(":\n\n"));
                        due.extend(
                            self.frame(&event(message, &data).replace("\ndata", "\n:\ndata")),
                        );
                    }
                }
            }
            let _ = subscriber.connection.write_all(&due);
            if subscriber.stage.is_over() {
                let _ = subscriber.connection.shutdown(std::net::Shutdown::Both);
            }
        }
    }

    fn frame(&self, event: &str) -> Vec<u8> {
        match self.mock.chunked {
            true => format!("{:x}\r\n{event}\r\n", event.len()).into_bytes(),
            false => event.as_bytes().to_vec(),
        }
    }
}

impl Subscriber {
    /// Writes what is whole, so it never stands inside another frame.
    fn write_after(&self, time: Duration, frame: Vec<u8>) {
        let Ok(mut connection) = self.connection.try_clone() else { return };
        thread::spawn(move || {
            thread::sleep(time);
            let _ = connection.write_all(&frame);
        });
    }
}

fn event(message: usize, data: &str) -> String {
    format!("id: 0badcafe-{message}\ndata: {data}\n\n")
}

/// The payload begins with its sequence, which tells which message this is.
fn sequence(data: &str) -> Option<usize> {
    usize::from_str_radix(data.get(..8)?, 16).ok()
}

/// The number behind the hyphen of the topic that is asked for.
fn topic(head: &str, topics: usize) -> usize {
    let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1");
    let number = line.rsplit_once('-').and_then(|(_, number)| number.parse().ok());
    number.filter(|_| topics > 1).unwrap_or_default()
}

fn read_head(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

fn read_chunk(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut size = String::new();
    reader.read_line(&mut size).ok()?;
    let mut chunk = vec![0; usize::from_str_radix(size.trim(), 16).ok()? + 2];
    reader.read_exact(&mut chunk).ok()?;
    chunk.truncate(chunk.len() - 2);
    Some(chunk)
}

/// A run of the tester.
#[derive(Debug)]
pub(crate) struct Run {
    /// Its exit status.
    pub(crate) status: Option<i32>,
    /// Its JSON document; `Null` when it made none.
    pub(crate) report: Value,
    /// What it said on standard error.
    pub(crate) stderr: String,
}

/// Runs the tester against `server` with a small load and `flags`.
pub(crate) fn load(server: SocketAddr, flags: &[&str]) -> Run {
    let target = format!("http://{server}");
    let small = [
        "--subscribers",
        "20",
        "--rate",
        "400",
        "--duration",
        "500ms",
        "--patience",
        "1s",
        "--json",
        "-",
    ];
    run(&[&["--target", &target], &small[..], flags].concat())
}

/// Runs the tester with `flags`, which make it print its JSON document.
pub(crate) fn run(flags: &[&str]) -> Run {
    let output = tester(flags);
    Run {
        status: output.status.code(),
        report: serde_json::from_slice(&output.stdout).unwrap_or_default(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs the tester with `flags`.
pub(crate) fn tester(flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare-load"));
    command.args(flags).output().expect("the tester was built")
}
