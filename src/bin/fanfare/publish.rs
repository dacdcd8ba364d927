//! `fanfare publish`: the arguments, or the lines of standard input, as messages.

use std::{
    error::Error,
    fmt,
    io::{self, BufRead, Read, Write},
    thread,
    time::Duration,
};

use clap::Args;
use fanfare::{EventId, EventType, Message, limits};
use http::{
    StatusCode,
    header::{CONTENT_TYPE, HeaderName},
};
use serde::{Deserialize, Serialize};
use tokio::{runtime, sync::mpsc};

use super::header::Header;

/// What `publish` takes.
#[derive(Args)]
pub(crate) struct Publish {
    /// Where to publish, topics and all: `http://127.0.0.1:8080/publish?topic=demo`.
    url: String,
    /// The data of each message. Without any, each line of standard input is a message.
    data: Vec<String>,
    /// Type of the messages.
    #[arg(long, value_name = "TYPE")]
    event: Option<EventType>,
    /// Id of the message, of which there must be one.
    #[arg(long)]
    id: Option<EventId>,
    /// Key under which the message, of which there must be one, is published only once, however
    /// often this is run within two minutes.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Header of the request, as in "Authorization: Bearer …".
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<Header>,
}

/// Lines read ahead of the server: 64 MiB if all are as long as they may be. What is waiting goes
/// out in one request.
const LINES_AHEAD: usize = 256;

/// Most bytes of one request of lines.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// A request is answered within this time.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// What the server said no to.
#[derive(Debug)]
struct Refused {
    url: String,
    status: StatusCode,
    text: String,
}

/// What a refusal says, of which we want this (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    detail: String,
    line: Option<u64>,
    published: Option<u64>,
}

/// What the server says of lines.
#[derive(Default, Serialize, Deserialize)]
struct Published {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    published: u64,
}

/// Publishes, and prints the server's answer for each argument, or one for all lines.
pub(crate) fn run(publish: Publish) -> Result<(), Box<dyn Error>> {
    if publish.data.len() != 1 {
        let of_one = [
            ("an id", publish.id.is_some()),
            ("an idempotency key", publish.idempotency_key.is_some()),
        ];
        if let Some((what, _)) = of_one.iter().find(|(_, is_given)| *is_given) {
            return Err(
                format!("{what} is of one message: give its data as the one argument").into()
            );
        }
    }
    let publisher = Publisher { client: client()?, publish };
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if publisher.publish.data.is_empty() {
            publisher.publish_lines().await
        } else {
            publisher.publish_arguments().await
        }
    })
}

fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().timeout(ANSWER_DEADLINE).build()
}

struct Publisher {
    client: reqwest::Client,
    publish: Publish,
}

impl Publisher {
    async fn publish_arguments(&self) -> Result<(), Box<dyn Error>> {
        for data in &self.publish.data {
            let answer = self.post("application/json", self.to_json(data)?).await?;
            writeln!(io::stdout(), "{}", answer.trim_end())?;
        }
        Ok(())
    }

    async fn publish_lines(&self) -> Result<(), Box<dyn Error>> {
        let (sender, mut lines) = mpsc::channel(LINES_AHEAD);
        // Reading may block for ever, and must not keep the process from ending.
        thread::spawn(move || read_lines(&mut io::stdin().lock(), &sender));
        let mut sum = Published::default();
        while let Some(first) = lines.recv().await {
            let (body, fault) = self.gather(first, &mut lines);
            if !body.is_empty() {
                let answer = self.post("application/x-ndjson", body).await;
                let answer: Published =
                    serde_json::from_str(&answer.inspect_err(|_| say_published(&sum))?)?;
                sum.published += answer.published;
                sum.id = answer.id.or(sum.id);
            }
            if let Some(fault) = fault {
                say_published(&sum);
                return Err(fault);
            }
        }
        Ok(writeln!(io::stdout(), "{}", serde_json::to_string(&sum)?)?)
    }

    /// A request of the lines that are there, and the fault behind them, if there is one.
    fn gather(
        &self,
        first: Line,
        lines: &mut mpsc::Receiver<Line>,
    ) -> (Vec<u8>, Option<Box<dyn Error>>) {
        let mut body = Vec::new();
        let mut next = Some(first);
        while let Some(line) = next {
            match line.and_then(|line| Ok(self.to_json(&line)?)) {
                Ok(json) => body.extend(json),
                Err(fault) => return (body, Some(fault.into())),
            }
            body.push(b'\n');
            next = if body.len() < REQUEST_BYTES_MAX { lines.try_recv().ok() } else { None };
        }
        (body, None)
    }

    /// The message as JSON, on one line.
    fn to_json(&self, data: &str) -> serde_json::Result<Vec<u8>> {
        let mut message = Message::new(data);
        if let Some(event) = &self.publish.event {
            message = message.event(event.clone());
        }
        if let Some(id) = &self.publish.id {
            message = message.id(id.clone());
        }
        serde_json::to_vec(&message)
    }

    async fn post(&self, media_type: &str, body: Vec<u8>) -> Result<String, Box<dyn Error>> {
        let mut request = self.client.post(&self.publish.url).header(CONTENT_TYPE, media_type);
        for Header { name, value } in &self.publish.headers {
            request = request.header(name, value);
        }
        if let Some(key) = &self.publish.idempotency_key {
            request = request.header(IDEMPOTENCY_KEY, quoted(key));
        }
        let response = request.body(body).send().await?;
        let (status, url) = (response.status(), response.url().to_string());
        let text = response.text().await?;
        if status.is_success() {
            return Ok(text);
        }
        Err(Refused { url, status, text: said(&text) }.into())
    }
}

/// The fault in the server's words, or its whole answer where that is no problem details.
fn said(answer: &str) -> String {
    let Ok(problem) = serde_json::from_str::<Problem>(answer) else {
        return answer.trim_end().to_owned();
    };
    match (problem.line, problem.published) {
        (Some(line), Some(published)) => {
            format!("{} (line {line} of the request, {published} published)", problem.detail)
        }
        _ => problem.detail,
    }
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A key as the header's draft wants it. The client refuses what no header can have.
fn quoted(key: &str) -> String {
    format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A line of the input, or why there is none.
type Line = io::Result<String>;

/// Sends every line, and a fault if there is one, after which nothing more is read.
fn read_lines(input: &mut impl BufRead, lines: &mpsc::Sender<Line>) {
    let mut number = 0;
    loop {
        number += 1;
        let line = read_line(input, number).transpose();
        let Some(line) = line else { return };
        let is_last = line.is_err();
        if lines.blocking_send(line).is_err() || is_last {
            return;
        }
    }
}

/// The next line without its end; none at the end of the input.
fn read_line(input: &mut impl BufRead, number: u64) -> io::Result<Option<String>> {
    let max = limits::BODY_BYTES_MAX;
    let mut line = Vec::new();
    // Two more bytes than a line may have, for its end.
    if input.take(max as u64 + 2).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let end = if line.ends_with(b"\r\n") { 2 } else { usize::from(line.ends_with(b"\n")) };
    line.truncate(line.len() - end);
    if line.len() > max {
        return Err(invalid(format!("line {number} has more than {max} bytes")));
    }
    let text = String::from_utf8(line);
    text.map(Some).map_err(|fault| {
        let offset = fault.utf8_error().valid_up_to();
        invalid(format!("line {number} is not UTF-8 at byte {offset}"))
    })
}

fn say_published(sum: &Published) {
    eprintln!("fanfare: {} lines were published by earlier requests", sum.published);
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, status, text } = self;
        write!(f, "POST {url}: {status}: {text}")
    }
}

impl Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_ends_and_faults_name_the_line() {
        let mut input = &b"one\r\n\ntwo\n\xff\nlost\n"[..];
        let mut next = |number| read_line(&mut input, number);
        assert_eq!(next(1).unwrap().unwrap(), "one");
        assert_eq!(next(2).unwrap().unwrap(), "");
        assert_eq!(next(3).unwrap().unwrap(), "two");
        assert_eq!(next(4).unwrap_err().to_string(), "line 4 is not UTF-8 at byte 0");
        assert_eq!(read_line(&mut &b"last"[..], 1).unwrap().unwrap(), "last");
        assert!(read_line(&mut &b""[..], 1).unwrap().is_none());
    }

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_server() {
        assert_eq!(said(r#"{"status":400,"detail":"topic is empty"}"#), "topic is empty");
        let in_lines = r#"{"detail":"topic is empty","line":3,"published":2}"#;
        assert_eq!(said(in_lines), "topic is empty (line 3 of the request, 2 published)");
        assert_eq!(said("<h1>Bad Gateway</h1>\n"), "<h1>Bad Gateway</h1>");
    }

    #[test]
    fn a_line_has_a_bound() {
        let longest = vec![b'x'; limits::BODY_BYTES_MAX];
        for end in ["", "\n", "\r\n"] {
            let text = [&longest, end.as_bytes()].concat();
            assert_eq!(read_line(&mut &*text, 1).unwrap().unwrap().len(), longest.len());
        }
        let endless = io::repeat(b'x');
        let fault = read_line(&mut io::BufReader::new(endless), 7).unwrap_err();
        assert_eq!(fault.to_string(), "line 7 has more than 262144 bytes");
    }
}
