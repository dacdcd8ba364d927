//! Puts what is due into the bytes of one write.

use super::{Plan, Segment};
use crate::payload::Stamp;
use crate::target::PublishMode;

/// Messages in one write at most, and bytes after which it takes no more: the stamps of a write
/// tell its time, so its first message must not wait long for its last.
const BATCH_MAX: u64 = 512;
const BATCH_BYTES: usize = 256 * 1024;

/// The texts around the payloads, and the bytes of the last write.
#[derive(Debug)]
pub(super) struct Writer {
    /// Of a message for each topic, in their order.
    texts: Vec<Vec<Vec<u8>>>,
    messages: Vec<u8>,
    /// What is to be written.
    pub(super) out: Vec<u8>,
}

impl Writer {
    /// A writer of `plan`'s messages.
    pub(super) fn new(plan: &Plan) -> Self {
        let size = plan.format.size();
        let texts = plan.topics.iter().map(|topic| plan.route.message(topic, size)).collect();
        Self { texts, messages: Vec::new(), out: Vec::new() }
    }

    /// Fills `out` with the messages of `segment` from `index` on that are due at `now_ns`.
    /// Returns how many.
    pub(super) fn encode_due(
        &mut self,
        plan: &Plan,
        segment: Segment,
        index: u64,
        now_ns: u64,
    ) -> u64 {
        self.messages.clear();
        let batch = if plan.route.mode() == PublishMode::Turns { 1 } else { BATCH_MAX };
        let mut count = 0;
        while count < batch
            && self.messages.len() < BATCH_BYTES
            && index + count < segment.messages
            && segment.due_ns(index + count) <= now_ns
        {
            self.encode(plan, segment.stamp(index + count, now_ns));
            count += 1;
        }
        self.frame(plan.route.mode());
        count
    }

    fn encode(&mut self, plan: &Plan, stamp: Stamp) {
        let topic = stamp.sequence % self.texts.len() as u64;
        for (number, text) in self.texts[topic as usize].iter().enumerate() {
            if number > 0 {
                plan.format.encode(stamp, &mut self.messages);
            }
            self.messages.extend_from_slice(text);
        }
    }

    /// Lines of one request go out as one chunk of it, requests as they are.
    fn frame(&mut self, mode: PublishMode) {
        self.out.clear();
        match mode {
            PublishMode::Ndjson => {
                self.out.extend_from_slice(format!("{:x}\r\n", self.messages.len()).as_bytes());
                self.out.extend_from_slice(&self.messages);
                self.out.extend_from_slice(b"\r\n");
            }
            PublishMode::Post | PublishMode::Turns => {
                std::mem::swap(&mut self.out, &mut self.messages)
            }
        }
    }
}
