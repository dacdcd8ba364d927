//! Reads a subscription as a client does, and waits no longer than it has patience.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::subject::{Call, Calls, Fault, ensure};
use crate::{
    log::Overtaken,
    provider::Subscription,
    sse::{Event, Item, Parser},
};

/// Reads a subscription as a client would.
pub(super) struct Reader {
    subscription: Subscription,
    parser: Parser,
    events: VecDeque<Event>,
    comments: Vec<String>,
    /// Events that it takes yet: a subscription without an end must not be a rule without one.
    left: usize,
    patience: Duration,
    runtime: Handle,
    calls: Arc<Calls>,
}

/// What a reader gets next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Event(Event),
    Overtaken,
    End,
}

const EVENTS_MAX: usize = 1 << 20;

impl Reader {
    pub(super) fn new(
        subscription: Subscription,
        patience: Duration,
        runtime: Handle,
        calls: Arc<Calls>,
    ) -> Self {
        Self {
            subscription,
            parser: Parser::new().comments(true),
            events: VecDeque::new(),
            comments: Vec::new(),
            left: EVENTS_MAX,
            patience,
            runtime,
            calls,
        }
    }

    pub(super) fn next(&mut self) -> Result<Next, Fault> {
        loop {
            if let Some(event) = self.events.pop_front() {
                self.left -= 1;
                ensure!(self.left > 0, "events without end come, {EVENTS_MAX} so far");
                return Ok(Next::Event(event));
            }
            match self.next_item()? {
                Some(Ok(bytes)) => self.parse(&bytes)?,
                Some(Err(_)) => return Ok(Next::Overtaken),
                None => return Ok(Next::End),
            }
        }
    }

    /// An item as the subscription gives it.
    pub(super) fn next_item(&mut self) -> Result<Option<Result<Bytes, Overtaken>>, Fault> {
        let within = self.calls.enter(Call::Poll);
        let next = tokio::time::timeout(self.patience, self.subscription.next());
        // Built within the runtime, for its timer.
        let item = self.runtime.block_on(next);
        drop(within);
        let patience = self.patience;
        item.map_err(|_| {
            Fault::new(format!("nothing came for {patience:?} where an event was due"))
        })
    }

    fn parse(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        loop {
            match self.parser.next(&mut bytes) {
                Ok(Some(Item::Event(event))) => self.events.push_back(event.to_event()),
                Ok(Some(Item::Comment(text))) => self.comments.push(text.to_owned()),
                Ok(None) => return Ok(()),
                Err(error) => return Err(Fault::new(format!("the stream is unreadable: {error}"))),
            }
        }
    }

    pub(super) fn event(&mut self) -> Result<Event, Fault> {
        match self.next()? {
            Next::Event(event) => Ok(event),
            Next::Overtaken => Err(Fault::new("the subscription ended as overtaken")),
            Next::End => Err(Fault::new("the subscription ended")),
        }
    }

    /// The next `count` events.
    pub(super) fn take(&mut self, count: usize) -> Result<Vec<Event>, Fault> {
        (0..count).map(|_| self.event()).collect()
    }

    /// The events before the one with this data, which is published and therefore comes.
    pub(super) fn until(&mut self, last: &str) -> Result<Vec<Event>, Fault> {
        let mut events = Vec::new();
        loop {
            let event = self.event().map_err(|fault| fault.before(last, events.len()))?;
            if event.data() == last {
                return Ok(events);
            }
            events.push(event);
        }
    }

    /// The data of the events before the one with this data.
    pub(super) fn data_until(&mut self, last: &str) -> Result<Vec<String>, Fault> {
        Ok(data(self.until(last)?))
    }

    /// The data of the events up to the end, which must be one in order.
    pub(super) fn data_to_end(&mut self) -> Result<Vec<String>, Fault> {
        let mut events = Vec::new();
        loop {
            match self.next()? {
                Next::Event(event) => events.push(event.into_data()),
                Next::Overtaken => return Err(Fault::new("the subscription ended as overtaken")),
                Next::End => return Ok(events),
            }
        }
    }

    /// The comments that have come.
    pub(super) fn comments(&self) -> &[String] {
        &self.comments
    }

    /// The reconnection time that the stream has set.
    pub(super) fn reconnection_time(&self) -> Option<Duration> {
        self.parser.reconnection_time()
    }
}

pub(super) fn data(events: Vec<Event>) -> Vec<String> {
    events.into_iter().map(Event::into_data).collect()
}

/// Fails unless a subscriber got exactly what was expected.
pub(super) fn ensure_same(
    got: &[impl AsRef<str>],
    expected: &[impl AsRef<str>],
) -> Result<(), Fault> {
    let text =
        |of: Option<&str>| of.map_or_else(|| "nothing".to_owned(), |text| format!("{text:?}"));
    for at in 0..got.len().max(expected.len()) {
        let (got_here, expected_here) =
            (got.get(at).map(AsRef::as_ref), expected.get(at).map(AsRef::as_ref));
        ensure!(
            got_here == expected_here,
            "event {} was {}, not {}: {} events came, {} were due",
            at + 1,
            text(got_here),
            text(expected_here),
            got.len(),
            expected.len()
        );
    }
    Ok(())
}
