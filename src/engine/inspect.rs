//! What an operator may see of the connections, and do to one of them.
//!
//! A core answers for itself, a stretch of its table at a time: asking costs it what a slice of a pass
//! does, and nothing is kept for it meanwhile.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc, time::Instant};

use tokio::sync::oneshot;

use super::{
    commands::Commands,
    connection::{Connection, EndReason},
    core::{Command, Core},
    counters::CoreCounters,
    driver::{Driver, Socket},
    group::GroupId,
};
use crate::{limits, log::Sequence, provider::Reader};

/// A way to the running cores: to look at their connections, and to close one. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Cores(Arc<[Line]>);

/// The way to one core.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) commands: Arc<Commands>,
    pub(super) reader: Arc<Reader>,
    pub(super) counters: Arc<CoreCounters>,
}

/// Which connection: written as `core-slot-generation`. A slot's next connection has another
/// generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    core: u32,
    pub(super) socket: Socket,
}

/// What is known of a subscriber's connection.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// Its name here.
    pub id: ConnectionId,
    /// Where it comes from, unless the kernel does not say.
    pub peer: Option<IpAddr>,
    /// The topics and patterns that it is subscribed to.
    pub topics: Vec<String>,
    /// Seconds since it subscribed.
    pub age_seconds: u32,
    /// How it is doing.
    pub state: ConnectionState,
}

/// Whether a subscriber has had everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// It has had everything up to its core's position.
    Live,
    /// It catches up.
    Lagging {
        /// Messages published since the one it is at, on whatever topics.
        behind: u64,
    },
}

/// Some of a core's connections.
#[derive(Clone, Debug)]
pub struct ConnectionPage {
    /// In the order of their slots.
    pub connections: Vec<ConnectionInfo>,
    /// Where the next page begins, if there is one.
    pub next_slot: Option<u32>,
}

/// What a core is asked.
#[derive(Debug)]
pub(super) enum Inquiry {
    /// Its connections from this slot on.
    Page { from_slot: u32, reply: oneshot::Sender<ConnectionPage> },
    /// To close one. Whether there was such a one is the answer.
    Close { socket: Socket, reply: oneshot::Sender<bool> },
}

/// Text that is no [`ConnectionId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a connection's id is core-slot-generation, such as 0-17-1")]
pub struct NoConnectionId;

impl Cores {
    pub(super) fn new(lines: Vec<Line>) -> Self {
        Self(lines.into())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The counters of each.
    pub fn counters(&self) -> impl Iterator<Item = &Arc<CoreCounters>> {
        self.0.iter().map(|line| &line.counters)
    }

    /// Subscribers of a core from a slot of its table on, at most
    /// [`limits::CONNECTIONS_PER_PAGE`]. None: there is no such core, it has ended, or has too much to do.
    pub async fn page(&self, core: usize, from_slot: u32) -> Option<ConnectionPage> {
        self.ask(core, |reply| Inquiry::Page { from_slot, reply }).await
    }

    /// Closes a connection, whose end has the reason [`EndReason::Operator`]. False: it is not there.
    /// None as for [`page`](Self::page).
    pub async fn close(&self, id: ConnectionId) -> Option<bool> {
        self.ask(id.core(), |reply| Inquiry::Close { socket: id.socket, reply }).await
    }

    async fn ask<T>(
        &self,
        core: usize,
        inquiry: impl FnOnce(oneshot::Sender<T>) -> Inquiry,
    ) -> Option<T> {
        let line = self.0.get(core)?;
        let (reply, answer) = oneshot::channel();
        if !line.commands.push(Command::Inquire(inquiry(reply))) {
            return None;
        }
        line.reader.notify();
        answer.await.ok()
    }
}

impl<D: Driver> Core<D> {
    pub(super) fn answer(&mut self, inquiry: Inquiry, now: Instant) {
        match inquiry {
            // Whoever asked may have gone.
            Inquiry::Page { from_slot, reply } => _ = reply.send(self.page(from_slot, now)),
            Inquiry::Close { socket, reply } => {
                let is_there = self.connections.get(socket).is_some();
                if is_there {
                    self.end_in_order(socket, EndReason::Operator);
                }
                let _ = reply.send(is_there);
            }
        }
    }

    fn page(&mut self, from_slot: u32, now: Instant) -> ConnectionPage {
        let slots = self.connections.slots();
        let start = (from_slot as usize).min(slots);
        let end = slots.min(start + limits::CONNECTIONS_PER_PAGE);
        let subscribed = |(socket, connection): (Socket, &Connection)| match connection {
            Connection::Live { group, since, .. } => Some((socket, *group, *since, None)),
            Connection::Lagging(lagging) => {
                Some((socket, lagging.group, lagging.since, Some(lagging.cursor.sequence)))
            }
            _ => None,
        };
        let subscribed: Vec<_> =
            self.connections.range(start..end).filter_map(subscribed).collect();
        let connections = subscribed
            .into_iter()
            .map(|(socket, group, since, at)| ConnectionInfo {
                id: ConnectionId { core: self.context.number, socket },
                peer: self.driver.peer(socket),
                topics: self.topic_names(group),
                age_seconds: self.seconds(now).saturating_sub(since),
                state: self.state(at),
            })
            .collect();
        ConnectionPage { connections, next_slot: (end < slots).then_some(end as u32) }
    }

    fn topic_names(&self, group: GroupId) -> Vec<String> {
        self.groups.get(group).topics.iter().map(|topic| topic.name().to_owned()).collect()
    }

    fn state(&self, lagging_at: Option<Sequence>) -> ConnectionState {
        let Some(at) = lagging_at else { return ConnectionState::Live };
        let head = self.context.provider.log().head().number();
        ConnectionState::Lagging { behind: head.saturating_sub(at.number()) }
    }

    /// Whole seconds since the core's first connection.
    pub(super) fn seconds(&mut self, now: Instant) -> u32 {
        let began = *self.began.get_or_insert(now);
        u32::try_from(now.saturating_duration_since(began).as_secs()).unwrap_or(u32::MAX)
    }
}

impl ConnectionId {
    /// The number of its core, from 0.
    pub fn core(self) -> usize {
        self.core as usize
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.core, self.socket.slot, self.socket.generation)
    }
}

impl FromStr for ConnectionId {
    type Err = NoConnectionId;

    fn from_str(text: &str) -> Result<Self, NoConnectionId> {
        let mut numbers = text.split('-').map(|part| part.parse().map_err(|_| NoConnectionId));
        let mut next = || numbers.next().ok_or(NoConnectionId)?;
        let (core, slot, generation) = (next()?, next()?, next()?);
        if numbers.next().is_some() {
            return Err(NoConnectionId);
        }
        Ok(Self { core, socket: Socket { slot, generation } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        for text in ["0-0-1", "3-104857-16777215"] {
            assert_eq!(text.parse::<ConnectionId>().unwrap().to_string(), text);
        }
        for text in ["", "1", "1-2", "1-2-3-4", "a-b-c", "1-2-99999999999", "-1-2-3"] {
            assert_eq!(text.parse::<ConnectionId>(), Err(NoConnectionId), "{text}");
        }
    }
}
