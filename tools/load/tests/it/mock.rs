//! A small event-stream server that does to each delivery what a plan says.
//!
//! `GET` subscribes, `POST` publishes (NDJSON in chunks, or text with a length). One thread per
//! connection; the publisher's thread writes to all subscribers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::Value;

/// What becomes of one delivery.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Act {
    /// It is made.
    Send,
    /// It is not.
    Drop,
    /// It is made twice.
    Twice,
    /// It comes after the next one.
    Delay,
    /// One byte of its data is changed.
    Corrupt,
    /// It is cut in the middle, and the connection with it.
    Cut,
}

/// How the server behaves.
#[derive(Debug)]
pub(crate) struct Mock {
    /// What becomes of message `.1` at subscriber `.0`, both counted from 0.
    pub(crate) act: fn(usize, usize) -> Act,
    /// Status line of a subscription.
    pub(crate) subscribe_status: &'static str,
    /// Status line of a publish.
    pub(crate) publish_status: &'static str,
    /// Whether event streams come in chunks.
    pub(crate) chunked: bool,
}

struct Subscriber {
    connection: TcpStream,
    delayed: Vec<u8>,
}

struct Server {
    mock: Mock,
    subscribers: Mutex<Vec<Subscriber>>,
}

impl Mock {
    /// A server without fault.
    pub(crate) fn faultless() -> Self {
        Self {
            act: |_, _| Act::Send,
            subscribe_status: "200 OK",
            publish_status: "202 Accepted",
            chunked: true,
        }
    }

    /// Serves until the test process ends.
    pub(crate) fn serve(self) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let server = Arc::new(Server { mock: self, subscribers: Mutex::default() });
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
                return self.subscribe(reader.into_inner());
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

    fn subscribe(&self, mut connection: TcpStream) -> Option<()> {
        let status = self.mock.subscribe_status;
        let framing = if self.mock.chunked { "Transfer-Encoding: chunked\r\n" } else { "" };
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Type: text/event-stream; x=y\r\n{framing}\r\n");
        connection.write_all(head.as_bytes()).ok()?;
        subscribers.push(Subscriber { connection, delayed: Vec::new() });
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
                self.broadcast(message["data"].as_str()?, count);
                count += 1;
            }
        }
    }

    fn publish_text(&self, reader: &mut BufReader<TcpStream>, head: &str) -> Option<usize> {
        let len = head.split("Content-Length: ").nth(1)?.split('\r').next()?;
        let mut body = vec![0; len.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        let text = String::from_utf8(body).ok()?;
        // The payload begins with its sequence, which tells which message this is.
        let sequence = usize::from_str_radix(text.get(..8)?, 16).ok()?;
        self.broadcast(&text, sequence);
        Some(1)
    }

    fn broadcast(&self, data: &str, message: usize) {
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, subscriber) in subscribers.iter_mut().enumerate() {
            let act = (self.mock.act)(index, message);
            let frame = self.frame(data, message);
            let mut out = Vec::new();
            match act {
                Act::Send => out.extend_from_slice(&frame),
                Act::Twice => out.extend_from_slice(&frame.repeat(2)),
                Act::Corrupt => {
                    let wrong = data.replacen('0', "1", 1);
                    out.extend_from_slice(&self.frame(&wrong, message));
                }
                Act::Cut => out.extend_from_slice(&frame[..frame.len() / 2]),
                Act::Drop | Act::Delay => {}
            }
            if act == Act::Delay {
                subscriber.delayed.extend_from_slice(&frame);
            } else {
                out.append(&mut subscriber.delayed);
            }
            let _ = subscriber.connection.write_all(&out);
            if act == Act::Cut {
                let _ = subscriber.connection.shutdown(std::net::Shutdown::Both);
            }
        }
    }

    fn frame(&self, data: &str, message: usize) -> Vec<u8> {
        let event = format!("id: 0badcafe-{message}\ndata: {data}\n\n");
        match self.mock.chunked {
            true => format!("{:x}\r\n{event}\r\n", event.len()).into_bytes(),
            false => event.into_bytes(),
        }
    }
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
    let small = ["--subscribers", "20", "--rate", "400", "--duration", "500ms", "--json", "-"];
    let output = tester(&[&["--target", &target], &small[..], flags].concat());
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
