//! A stream of JSON lines, unlimited as a whole.
//!
//! Each line is published as soon as it has arrived, and the lines that arrive together are
//! published together.

use axum::{
    Json,
    body::Body,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tokio::time::Instant;

use super::{
    body::{Deadline, next_chunk},
    item::Addressed,
    json::parse_one,
};
use crate::{
    limits::Limits,
    provider::Receipt,
    server::{
        access::PublishGrant,
        fault::{Fault, Progress},
        routes::Desk,
    },
    sse::EventId,
};

#[derive(Serialize)]
struct Accepted {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<EventId>,
    published: u64,
}

/// A stream of lines on its way in.
struct Lines<'d> {
    desk: &'d Desk,
    grant: &'d PublishGrant,
    topics: &'d [String],
    limits: Limits,
    /// The beginning of a line whose end has not arrived.
    pending: Vec<u8>,
    /// Lines dealt with.
    lines: u64,
    published: u64,
    last: Option<EventId>,
}

/// Publishes the lines of a body as they come.
pub(super) async fn publish(
    desk: &Desk,
    grant: &PublishGrant,
    topics: &[String],
    body: &mut Body,
) -> Result<Response, Fault> {
    let mut lines = Lines::new(desk, grant, topics);
    let mut deadline = Deadline::of(&lines.limits);
    loop {
        let chunk = match next_chunk(body, deadline).await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            Err(fault) => return Err(fault.at(lines.progress())),
        };
        let waiting = Instant::now();
        desk.publisher.ready().await;
        // That is not the sender's time.
        deadline.put_off(waiting.elapsed());
        lines.add(&chunk)?;
        if chunk.contains(&b'\n') {
            // The next line has its own.
            deadline = Deadline::of(&lines.limits);
        }
    }
    let accepted = lines.finish()?;
    Ok((StatusCode::ACCEPTED, Json(accepted)).into_response())
}

impl<'d> Lines<'d> {
    fn new(desk: &'d Desk, grant: &'d PublishGrant, topics: &'d [String]) -> Self {
        let limits = desk.tuning.get().limits;
        let (pending, lines, published, last) = (Vec::new(), 0, 0, None);
        Self { desk, grant, topics, limits, pending, lines, published, last }
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
        let max = self.limits.body_bytes;
        if self.pending.len() + rest.len() > max {
            return Err(Fault::too_large("line", max).at(self.progress()));
        }
        self.pending.extend_from_slice(rest);
        Ok(())
    }

    /// Publishes the last line, which need not have an end.
    fn finish(mut self) -> Result<Accepted, Fault> {
        let pending = std::mem::take(&mut self.pending);
        self.publish(&pending)?;
        Ok(Accepted { id: self.last, published: self.published })
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
                batch.push(self.parse(line)?);
            }
        }
        if !batch.is_empty() {
            self.desk.check_open()?;
            self.grant.check_batch(&batch)?;
            let receipts = self.desk.publisher.publish_batch(&batch)?;
            self.last = receipts.last().and_then(Receipt::id);
            self.published += batch.len() as u64;
            self.desk.counters.count_published(batch.len() as u64);
        }
        self.lines += count;
        Ok(())
    }

    fn parse<'t>(&self, line: &'t [u8]) -> Result<Addressed<'t>, Fault>
    where
        'd: 't,
    {
        let max = self.limits.body_bytes;
        if line.len() > max {
            return Err(Fault::too_large("line", max));
        }
        parse_one(line, self.topics)
    }

    fn progress(&self) -> Progress {
        Progress { line: self.lines + 1, published: self.published }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::publish::tests::{desk, grant};

    /// I11: whatever the split, the same lines come out.
    #[test]
    fn any_split_of_the_lines_publishes_the_same() {
        let body = "{\"data\":\"1\"}\n\r\n{\"data\":\"zwö\"}\r\n{\"data\":\"3\",\"id\":\"i\"}";
        for first in 0..=body.len() {
            for second in [first, (first + 7).min(body.len()), body.len()] {
                let desk = desk();
                let topics = ["a".to_owned()];
                let grant = grant(&desk);
                let mut lines = Lines::new(&desk, &grant, &topics);
                let bytes = body.as_bytes();
                for part in [&bytes[..first], &bytes[first..second], &bytes[second..]] {
                    lines.add(part).unwrap();
                }
                let accepted = lines.finish().unwrap();
                assert_eq!((accepted.published, accepted.id.unwrap().as_str()), (3, "i"));
            }
        }
    }
}
