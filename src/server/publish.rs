//! `POST /publish`: the body is one message's data, one JSON message, or a stream of JSON lines.
//!
//! A stream of lines is unlimited as a whole: each line is published as soon as it has arrived, and
//! the lines that arrive together are published together. What is published waits for the cores
//! first, so a publisher over HTTP is slowed down instead of outrunning its subscribers.

use std::{borrow::Cow, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};

use super::{
    fault::{Fault, Progress},
    routes::Desk,
    selection,
};
use crate::{
    limits,
    provider::{DEFAULT_TOPIC, Receipt},
    sse::{EventId, EventType, Message},
};

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// The data of one message.
    Data,
    /// One message.
    Json,
    /// A message per line.
    Lines,
}

/// A message as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item<'j> {
    topics: Option<Vec<Cow<'j, str>>>,
    id: Option<EventId>,
    event: Option<EventType>,
    #[serde(borrow)]
    data: Cow<'j, str>,
    /// Milliseconds.
    retry: Option<u64>,
    #[serde(borrow)]
    conflation_key: Option<Cow<'j, str>>,
}

#[derive(Serialize)]
struct Accepted {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<EventId>,
    subscribers: u32,
}

#[derive(Serialize)]
struct AcceptedLines {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<EventId>,
    published: u64,
}

/// A stream of lines on its way in.
struct Lines<'d> {
    desk: &'d Desk,
    topics: &'d [String],
    /// The beginning of a line whose end has not arrived.
    pending: Vec<u8>,
    /// Lines dealt with.
    lines: u64,
    published: u64,
    last: Option<EventId>,
}

type Addressed<'t> = (Message, Vec<Cow<'t, str>>);

/// The handler.
pub(super) async fn publish(State(desk): State<Desk>, request: Request) -> Result<Response, Fault> {
    let (head, mut body) = request.into_parts();
    let accepted = match read_head(&head.headers, head.uri.query()) {
        Ok((topics, Format::Data)) => publish_data(&desk, &topics, &mut body).await,
        Ok((topics, Format::Json)) => publish_json(&desk, &topics, &mut body).await,
        Ok((topics, Format::Lines)) => publish_lines(&desk, &topics, &mut body).await,
        Err(fault) => Err(fault),
    };
    if let Err(fault) = &accepted
        && !fault.is_stalled()
        && !head.headers.contains_key(header::EXPECT)
    {
        discard(&mut body).await;
    }
    accepted
}

fn read_head(headers: &HeaderMap, query: Option<&str>) -> Result<(Vec<String>, Format), Fault> {
    let topics = selection::publish_topics(query)?;
    let format = Format::of(headers)?;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = length.and_then(|length| length.parse().ok()).unwrap_or(0_u64);
    if format != Format::Lines && length > limits::BODY_BYTES_MAX as u64 {
        return Err(Fault::too_large("body"));
    }
    Ok((topics, format))
}

async fn publish_data(desk: &Desk, topics: &[String], body: &mut Body) -> Result<Response, Fault> {
    let body = read_whole(body).await?;
    let data = str::from_utf8(&body).map_err(|fault| {
        Fault::bad_request(format!("body is not UTF-8 at byte {}", fault.valid_up_to()))
    })?;
    publish_one(desk, &Message::new(data), &or_default(topics)).await
}

async fn publish_json(desk: &Desk, topics: &[String], body: &mut Body) -> Result<Response, Fault> {
    let body = read_whole(body).await?;
    let (message, topics) = parse_item(&body, topics)?;
    publish_one(desk, &message, &topics).await
}

async fn publish_one(
    desk: &Desk,
    message: &Message,
    topics: &[Cow<'_, str>],
) -> Result<Response, Fault> {
    let receipt = desk.publisher.publish_async(message, topics).await?;
    desk.counters.count_published(1);
    let accepted = Accepted { id: receipt.id(), subscribers: receipt.subscribers() };
    Ok((StatusCode::ACCEPTED, Json(accepted)).into_response())
}

async fn publish_lines(desk: &Desk, topics: &[String], body: &mut Body) -> Result<Response, Fault> {
    let mut lines = Lines::new(desk, topics);
    loop {
        let chunk = match next_chunk(body).await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            Err(fault) => return Err(fault.at(lines.progress())),
        };
        desk.publisher.ready().await;
        lines.add(&chunk)?;
    }
    let accepted = lines.finish()?;
    Ok((StatusCode::ACCEPTED, Json(accepted)).into_response())
}

impl<'d> Lines<'d> {
    fn new(desk: &'d Desk, topics: &'d [String]) -> Self {
        Self { desk, topics, pending: Vec::new(), lines: 0, published: 0, last: None }
    }

    /// Publishes the lines that end in `chunk`, and keeps the rest.
    fn add(&mut self, chunk: &[u8]) -> Result<(), Fault> {
        let ended = chunk.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let (ended, rest) = chunk.split_at(ended);
        if !ended.is_empty() {
            let mut pending = std::mem::take(&mut self.pending);
            if pending.is_empty() {
                self.publish(ended)?;
            } else {
                pending.extend_from_slice(ended);
                self.publish(&pending)?;
            }
        }
        if self.pending.len() + rest.len() > limits::BODY_BYTES_MAX {
            return Err(Fault::too_large("line").at(self.progress()));
        }
        self.pending.extend_from_slice(rest);
        Ok(())
    }

    /// Publishes the last line, which need not have an end.
    fn finish(mut self) -> Result<AcceptedLines, Fault> {
        let pending = std::mem::take(&mut self.pending);
        self.publish(&pending)?;
        Ok(AcceptedLines { id: self.last, published: self.published })
    }

    /// Publishes whole lines together, or, if there is a fault among them, those before it.
    fn publish(&mut self, lines: &[u8]) -> Result<(), Fault> {
        if self.publish_together(lines).is_ok() {
            return Ok(());
        }
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.publish_together(line).map_err(|fault| fault.at(self.progress()))?;
        }
        Ok(())
    }

    fn publish_together(&mut self, lines: &[u8]) -> Result<(), Fault> {
        let mut batch = Vec::new();
        let mut count = 0;
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            count += 1;
            if !line.trim_ascii().is_empty() {
                batch.push(parse_line(line, self.topics)?);
            }
        }
        if !batch.is_empty() {
            let receipts = self.desk.publisher.publish_batch(&batch)?;
            self.last = receipts.last().and_then(Receipt::id);
            self.published += batch.len() as u64;
            self.desk.counters.count_published(batch.len() as u64);
        }
        self.lines += count;
        Ok(())
    }

    fn progress(&self) -> Progress {
        Progress { line: self.lines + 1, published: self.published }
    }
}

fn parse_line<'t>(line: &'t [u8], topics: &'t [String]) -> Result<Addressed<'t>, Fault> {
    if line.len() > limits::BODY_BYTES_MAX {
        return Err(Fault::too_large("line"));
    }
    parse_item(line, topics)
}

/// A message and its topics: its own, or those of the query.
fn parse_item<'t>(json: &'t [u8], topics: &'t [String]) -> Result<Addressed<'t>, Fault> {
    // serde would take an array as the fields in order.
    if json.trim_ascii_start().first().is_some_and(|byte| *byte != b'{') {
        return Err(Fault::bad_request("a message is a JSON object"));
    }
    let item: Item<'t> =
        serde_json::from_slice(json).map_err(|fault| Fault::bad_request(fault.to_string()))?;
    let topics = match item.topics {
        Some(topics) => {
            topics.iter().try_for_each(|topic| selection::check_named(topic))?;
            topics
        }
        None => or_default(topics),
    };
    let mut message = Message::new(&item.data);
    if let Some(id) = item.id {
        message = message.id(id);
    }
    if let Some(event) = item.event {
        message = message.event(event);
    }
    if let Some(millis) = item.retry {
        message = message.retry(Duration::from_millis(millis));
    }
    if let Some(key) = item.conflation_key {
        message = message.conflate_by(&key);
    }
    Ok((message, topics))
}

fn or_default(topics: &[String]) -> Vec<Cow<'_, str>> {
    if topics.is_empty() {
        return vec![Cow::Borrowed(DEFAULT_TOPIC)];
    }
    topics.iter().map(|topic| Cow::Borrowed(topic.as_str())).collect()
}

impl Format {
    fn of(headers: &HeaderMap) -> Result<Self, Fault> {
        let unsupported = |text| Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
        if let Some(coding) = headers.get(header::CONTENT_ENCODING)
            && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
        {
            return unsupported("content encodings are not supported".into());
        }
        let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Self::Data) };
        let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        let mut parts = value.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let charset = parts.find_map(|part| part.strip_prefix("charset="));
        if let Some(charset) = charset.map(|charset| charset.trim_matches('"'))
            && !matches!(charset, "utf-8" | "utf8" | "us-ascii")
        {
            return unsupported(format!("charset {charset:?} is not supported: send UTF-8"));
        }
        match media_type {
            "text/plain" | "application/octet-stream" => Ok(Self::Data),
            "application/json" => Ok(Self::Json),
            "application/x-ndjson" => Ok(Self::Lines),
            _ => unsupported(format!(
                "content type {media_type:?} is not supported: send text/plain, application/json \
                 (curl --json) or application/x-ndjson"
            )),
        }
    }
}

async fn read_whole(body: &mut Body) -> Result<Vec<u8>, Fault> {
    let mut whole = Vec::new();
    while let Some(chunk) = next_chunk(body).await? {
        if whole.len() + chunk.len() > limits::BODY_BYTES_MAX {
            return Err(Fault::too_large("body"));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole)
}

/// The next bytes of a body; none at its end.
async fn next_chunk(body: &mut Body) -> Result<Option<Bytes>, Fault> {
    loop {
        let frame = tokio::time::timeout(limits::BODY_DEADLINE, body.frame());
        match frame.await.map_err(|_| Fault::stalled())? {
            None => return Ok(None),
            Some(Err(_)) => return Err(Fault::bad_request("the body was cut off or malformed")),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data()
                    && !data.is_empty()
                {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Reads on for a moment, so that a client in the middle of its body gets to see the refusal:
/// closing a socket with unread bytes resets the connection and may overtake the reply.
async fn discard(body: &mut Body) {
    let mut discarded = 0;
    while discarded < limits::BODY_DISCARDED_BYTES_MAX
        && let Ok(Some(Ok(frame))) =
            tokio::time::timeout(limits::BODY_DISCARD_DEADLINE, body.frame()).await
    {
        discarded += frame.data_ref().map_or(1, Bytes::len);
    }
}

#[cfg(test)]
mod tests;
