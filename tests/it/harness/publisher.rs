//! A publisher on a connection that it keeps.

use serde_json::Value;

use super::connection::post_request;
use super::{Connection, Response, Server};

/// What the server says of an accepted message.
#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    pub(crate) id: String,
    pub(crate) subscribers: u64,
}

/// A kept-alive connection to publish on.
#[derive(Debug)]
pub(crate) struct Publisher(Connection);

impl Publisher {
    /// Connects.
    pub(crate) fn open(server: &Server) -> Self {
        Self::over(server.connect())
    }

    /// A publisher over a connection that leads to a server, by whatever way.
    pub(crate) const fn over(connection: Connection) -> Self {
        Self(connection)
    }

    /// Publishes a text, which must be accepted.
    pub(crate) fn text(&mut self, topics: &[&str], data: &str) -> Receipt {
        let target = format!("/publish{}", query_of_topics(topics));
        receipt(self.0.post(&target, "text/plain; charset=utf-8", data.as_bytes()))
    }

    /// Publishes one message given as JSON, which must be accepted.
    pub(crate) fn json(&mut self, message: &Value) -> Receipt {
        receipt(self.0.post("/publish", "application/json", message.to_string().as_bytes()))
    }

    /// Publishes a batch of JSON lines, which must be accepted whole.
    pub(crate) fn lines(&mut self, topics: &[&str], lines: &str) {
        let target = format!("/publish{}", query_of_topics(topics));
        let answer = self.0.post(&target, "application/x-ndjson", lines.as_bytes());
        let answer = answer.expect_json(202);
        assert_eq!(answer["published"], Value::from(lines.lines().count()), "in {answer}");
    }

    /// Sends several texts at once, each its own request, and only then reads the answers.
    pub(crate) fn pipelined(&mut self, topics: &[&str], data: &[String]) {
        let target = format!("/publish{}", query_of_topics(topics));
        let requests: Vec<u8> = data
            .iter()
            .flat_map(|data| post_request(&target, "text/plain", data.as_bytes()))
            .collect();
        self.0.send(&requests);
        for _ in data {
            receipt(self.0.response());
        }
    }
}

fn receipt(response: Response) -> Receipt {
    let answer = response.expect_json(202);
    Receipt {
        id: answer["id"].as_str().unwrap_or_else(|| panic!("no id in {answer}")).to_owned(),
        subscribers: answer["subscribers"].as_u64().expect("a count of subscribers"),
    }
}

/// `?topic=a&topic=b`, or nothing for no topic.
pub(crate) fn query_of_topics(topics: &[&str]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(topics.iter().map(|topic| ("topic", topic)));
    let query = query.finish();
    if query.is_empty() { query } else { format!("?{query}") }
}
