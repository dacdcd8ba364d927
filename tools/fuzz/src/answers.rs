//! What a server answered, taken apart by another parser than its own.

use tokio::runtime::{Builder, Runtime};

/// An answer that is whole, or a stream that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Whether it is a stream of events, which is the last.
    pub is_stream: bool,
}

/// A runtime for one input after the other, whose clock runs ahead while nothing happens.
///
/// # Panics
///
/// If there is none to be had.
pub fn paused_runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

/// The answers in `bytes`, all that a connection has given, to requests of these methods. Interim ones
/// are passed over.
///
/// # Panics
///
/// If `bytes` is anything else than whole answers, but for the end of the last.
pub fn answers(mut bytes: &[u8], methods: &[String]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        let head =
            response.parse(bytes).unwrap_or_else(|fault| panic!("{fault}: {}", shown(bytes)));
        let httparse::Status::Complete(head) = head else {
            panic!("half a head: {}", shown(bytes))
        };
        bytes = &bytes[head..];
        let status = response.code.expect("a status");
        if status == 100 {
            continue;
        }
        let header = |name: &str| {
            let found =
                response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.map(|header| std::str::from_utf8(header.value).expect("ASCII"))
        };
        let has_body =
            methods.get(answers.len()).is_none_or(|method| method != "HEAD") && status != 204;
        let is_stream = has_body && header("content-type") == Some("text/event-stream");
        answers.push(Answer { status, is_stream });
        if is_stream {
            return answers;
        }
        if has_body {
            let length = header("content-length").expect("a length");
            let length: usize = length.parse().expect("a number");
            assert!(bytes.len() >= length, "half a body: {}", shown(bytes));
            bytes = &bytes[length..];
        }
    }
    answers
}

fn shown(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(200)].escape_ascii().to_string()
}
