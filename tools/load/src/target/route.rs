//! How a message gets to the server: what a publish request is made of.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::args::PublishMode;
use super::endpoint::Endpoint;
use super::headers::{self, Header};
use super::template::Template;

/// Where and how to publish.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Route {
    pub(super) endpoint: Endpoint,
    pub(super) mode: PublishMode,
    pub(super) content_type: String,
    /// Of one message; unused where messages are lines of one request.
    pub(super) body: Template,
    pub(super) headers: Vec<Header>,
}

impl Route {
    /// Where to connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.endpoint.address
    }

    /// How messages are put into requests.
    pub(crate) fn mode(&self) -> PublishMode {
        self.mode
    }

    /// What opens a request that messages follow in as lines.
    pub(crate) fn stream_head(&self) -> Vec<u8> {
        let path = self.endpoint.path.fill(&[], None).concat();
        self.head(&path, "application/x-ndjson", "Transfer-Encoding: chunked").into_bytes()
    }

    /// One message for `topic`, a request or a line, as the texts around its payloads of
    /// `payload_len` bytes each.
    pub(crate) fn message(&self, topic: &str, payload_len: usize) -> Vec<Vec<u8>> {
        let texts = match self.mode {
            PublishMode::Ndjson => line(topic),
            PublishMode::Post | PublishMode::Turns => self.request(topic, payload_len),
        };
        texts.into_iter().map(String::into_bytes).collect()
    }

    fn request(&self, topic: &str, payload_len: usize) -> Vec<String> {
        let mut texts = self.body.fill(&[topic], None);
        let len = texts.iter().map(String::len).sum::<usize>() + payload_len * (texts.len() - 1);
        let path = self.endpoint.path.fill(&[topic], None).concat();
        let head = self.head(&path, &self.content_type, &format!("Content-Length: {len}"));
        texts[0].insert_str(0, &head);
        texts
    }

    fn head(&self, path: &str, content_type: &str, framing: &str) -> String {
        let ours = [("Host", &self.endpoint.host[..]), ("Content-Type", content_type)];
        let headers = headers::lines(&headers::merge(&ours, &self.headers));
        format!("POST {path} HTTP/1.1\r\n{headers}{framing}\r\n\r\n")
    }
}

/// A message as Fanfare reads it in a stream of lines.
fn line(topic: &str) -> Vec<String> {
    vec![format!("{{\"topics\":[{}],\"data\":\"", Value::from(topic)), "\"}\n".to_owned()]
}
