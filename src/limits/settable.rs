//! The limits that an operator sets. Those that are not here protect the process from a peer.

use std::{fmt::Debug, ops::RangeInclusive, time::Duration};

use super::{
    BODY_BYTES_MAX, BODY_DEADLINE, CONNECTIONS_PER_CORE_DEFAULT, CONTROL_CONNECTIONS_CEILING,
    CONTROL_CONNECTIONS_MAX, CONTROL_SUBSCRIPTIONS_MAX, DEADLINE_MAX, DEADLINE_MIN, DRAIN_DEADLINE,
    HEAD_DEADLINE, RECEIVE_BUFFER_BYTES, SEND_BUFFER_BYTES, SOCKET_BUFFER_BYTES_MAX,
    SOCKET_BUFFER_BYTES_MIN, TOPICS_PER_SUBSCRIPTION_DEFAULT, TOPICS_PER_SUBSCRIPTION_MAX,
    UNACKNOWLEDGED_DEADLINE, UNSENT_BYTES_MAX, WRITE_STALL_DEADLINE,
};

/// Limits of a server, each with a default and bounds of its own.
///
/// ```
/// use std::time::Duration;
/// use fanfare::{Server, limits::Limits};
///
/// let mut limits = Limits::default();
/// limits.write_stall_deadline = Duration::from_secs(30);
/// let server = Server::builder().listen("127.0.0.1:0").limits(limits).start()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Most connections of one core, from 1. A connection costs 32 B of the table and, as an idle
    /// subscriber, 112 to 190 B in all, and some 4 KiB of the kernel's. Also bounded by the
    /// descriptors that the process may have. While a server runs it goes no higher than it was at
    /// the start. Default: [`CONNECTIONS_PER_CORE_DEFAULT`], which is the most.
    pub connections_per_core: usize,
    /// A request head must be complete this long after the connection was accepted, however it
    /// drips. Until then it holds what has arrived of it, up to [`HEAD_BYTES_MAX`](super::HEAD_BYTES_MAX).
    /// Default: [`HEAD_DEADLINE`].
    pub head_deadline: Duration,
    /// Most topics of one subscription over HTTP, from 1 to [`TOPICS_PER_SUBSCRIPTION_MAX`]. One on n
    /// topics costs O(n) where it catches up. Default: [`TOPICS_PER_SUBSCRIPTION_DEFAULT`].
    pub topics_per_subscription: usize,
    /// A connection that takes no byte for this long while it is owed some is cut. Until then the
    /// kernel holds up to 53 KiB for it, and the history costs it nothing. Default:
    /// [`WRITE_STALL_DEADLINE`].
    pub write_stall_deadline: Duration,
    /// Subscribers that are owed something, and requests in progress, have this long to end in order
    /// when the server shuts down, or after the time over which it drains. Default:
    /// [`DRAIN_DEADLINE`].
    pub drain_deadline: Duration,
    /// Most bytes of one published message: of a body, or of one line of an NDJSON body; from 1 to
    /// [`BODY_BYTES_MAX`], the default. Each request holds so many at most.
    pub body_bytes: usize,
    /// A message must have arrived within this time, however it drips; a stream of lines may pause as
    /// long between two. Default: [`BODY_DEADLINE`].
    pub body_deadline: Duration,
    /// Sent bytes that are not acknowledged for this long end a connection. Set at the start.
    /// Default: [`UNACKNOWLEDGED_DEADLINE`].
    pub unacknowledged_deadline: Duration,
    /// Send buffer asked for each connection; the kernel doubles it, and holds so many bytes of a
    /// reader that stalls at most. Set at the start. Default: [`SEND_BUFFER_BYTES`].
    pub send_buffer_bytes: usize,
    /// Receive buffer asked for each connection; the kernel doubles it. Set at the start. Default:
    /// [`RECEIVE_BUFFER_BYTES`].
    pub receive_buffer_bytes: usize,
    /// Unsent bytes beyond which the kernel takes no more from us: what a reader that stalls pins,
    /// beside what is on its way to it. Set at the start. Default: [`UNSENT_BYTES_MAX`].
    pub unsent_bytes: usize,
    /// Most connections of the control runtime: publishers, and whatever is no subscription on a
    /// core. Each holds up to 48 KiB of buffers, and a body while it publishes. Set at the start.
    /// Default: [`CONTROL_CONNECTIONS_MAX`].
    pub control_connections: usize,
    /// Most of them that may be event streams. Each holds up to 128 KiB of events on their way to a
    /// slow client. Set at the start. Default: [`CONTROL_SUBSCRIPTIONS_MAX`].
    pub control_subscriptions: usize,
}

/// A limit that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// A value out of its bounds.
    #[error("{name} of {value} is not in {least}..={most}")]
    OutOfBounds {
        /// The field.
        name: &'static str,
        /// Its value.
        value: String,
        /// The least it may be.
        least: String,
        /// The most it may be.
        most: String,
    },
    /// Event streams would leave no connection for anything else.
    #[error(
        "control_subscriptions of {subscriptions} is not below control_connections of {connections}"
    )]
    NoRoomBesideSubscriptions {
        /// Most event streams.
        subscriptions: usize,
        /// Most connections.
        connections: usize,
    },
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_per_core: CONNECTIONS_PER_CORE_DEFAULT,
            head_deadline: HEAD_DEADLINE,
            topics_per_subscription: TOPICS_PER_SUBSCRIPTION_DEFAULT,
            write_stall_deadline: WRITE_STALL_DEADLINE,
            drain_deadline: DRAIN_DEADLINE,
            body_bytes: BODY_BYTES_MAX,
            body_deadline: BODY_DEADLINE,
            unacknowledged_deadline: UNACKNOWLEDGED_DEADLINE,
            send_buffer_bytes: SEND_BUFFER_BYTES,
            receive_buffer_bytes: RECEIVE_BUFFER_BYTES,
            unsent_bytes: UNSENT_BYTES_MAX,
            control_connections: CONTROL_CONNECTIONS_MAX,
            control_subscriptions: CONTROL_SUBSCRIPTIONS_MAX,
        }
    }
}

impl Limits {
    /// Whether these can be.
    ///
    /// # Errors
    /// [`LimitError`] names the first that cannot.
    pub fn check(&self) -> Result<(), LimitError> {
        self.faults().into_iter().next().map_or(Ok(()), Err)
    }

    /// Every one that cannot be.
    pub fn faults(&self) -> Vec<LimitError> {
        let buffer = SOCKET_BUFFER_BYTES_MIN..=SOCKET_BUFFER_BYTES_MAX;
        let control = 1..=CONTROL_CONNECTIONS_CEILING;
        let counts = [
            ("connections_per_core", self.connections_per_core, 1..=CONNECTIONS_PER_CORE_DEFAULT),
            (
                "topics_per_subscription",
                self.topics_per_subscription,
                1..=TOPICS_PER_SUBSCRIPTION_MAX,
            ),
            ("body_bytes", self.body_bytes, 1..=BODY_BYTES_MAX),
            ("send_buffer_bytes", self.send_buffer_bytes, buffer.clone()),
            ("receive_buffer_bytes", self.receive_buffer_bytes, buffer.clone()),
            ("unsent_bytes", self.unsent_bytes, buffer),
            ("control_connections", self.control_connections, control.clone()),
            ("control_subscriptions", self.control_subscriptions, control),
        ];
        let times = [
            ("head_deadline", self.head_deadline),
            ("write_stall_deadline", self.write_stall_deadline),
            ("drain_deadline", self.drain_deadline),
            ("body_deadline", self.body_deadline),
            ("unacknowledged_deadline", self.unacknowledged_deadline),
        ];
        let counts = counts.iter().filter_map(|(name, value, range)| bounded(name, value, range));
        let deadline = DEADLINE_MIN..=DEADLINE_MAX;
        let times = times.iter().filter_map(|(name, value)| bounded(name, value, &deadline));
        counts.chain(times).chain(self.streams_leave_room().err()).collect()
    }

    /// These, but with what is set at the start as it was then.
    #[cfg(not(fanfare_loom))]
    pub(crate) fn after_the_start(self, start: &Self) -> Self {
        Self {
            unacknowledged_deadline: start.unacknowledged_deadline,
            send_buffer_bytes: start.send_buffer_bytes,
            receive_buffer_bytes: start.receive_buffer_bytes,
            unsent_bytes: start.unsent_bytes,
            control_connections: start.control_connections,
            control_subscriptions: start.control_subscriptions,
            ..self
        }
    }

    fn streams_leave_room(&self) -> Result<(), LimitError> {
        let (subscriptions, connections) = (self.control_subscriptions, self.control_connections);
        if subscriptions < connections {
            return Ok(());
        }
        Err(LimitError::NoRoomBesideSubscriptions { subscriptions, connections })
    }
}

fn bounded<T: PartialOrd + Debug>(
    name: &'static str,
    value: &T,
    range: &RangeInclusive<T>,
) -> Option<LimitError> {
    (!range.contains(value)).then(|| LimitError::OutOfBounds {
        name,
        value: format!("{value:?}"),
        least: format!("{:?}", range.start()),
        most: format!("{:?}", range.end()),
    })
}

impl LimitError {
    /// The field that is wrong.
    pub fn name(&self) -> &'static str {
        match self {
            Self::OutOfBounds { name, .. } => name,
            Self::NoRoomBesideSubscriptions { .. } => "control_subscriptions",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(change: impl Fn(&mut Limits)) -> Result<(), String> {
        let mut limits = Limits::default();
        change(&mut limits);
        limits.check().map_err(|fault| fault.to_string())
    }

    #[test]
    fn the_defaults_can_be_and_a_fault_names_the_bound() {
        assert_eq!(Limits::default().check(), Ok(()));
        let topics = |count| fault(|limits| limits.topics_per_subscription = count);
        assert_eq!(topics(256), Ok(()));
        let expected = "topics_per_subscription of 257 is not in 1..=256";
        assert_eq!(topics(257), Err(expected.to_owned()));
        let expected = "topics_per_subscription of 0 is not in 1..=256";
        assert_eq!(topics(0), Err(expected.to_owned()));
        let expected = "head_deadline of 99ms is not in 100ms..=86400s";
        let short = Duration::from_millis(99);
        assert_eq!(fault(|limits| limits.head_deadline = short), Err(expected.to_owned()));
        let expected = "control_subscriptions of 10 is not below control_connections of 10";
        let full =
            fault(|limits| (limits.control_connections, limits.control_subscriptions) = (10, 10));
        assert_eq!(full, Err(expected.to_owned()));
    }

    #[test]
    fn every_fault_is_found() {
        let zero = Duration::ZERO;
        let limits = Limits {
            connections_per_core: 0,
            head_deadline: zero,
            topics_per_subscription: 0,
            write_stall_deadline: zero,
            drain_deadline: zero,
            body_bytes: 0,
            body_deadline: zero,
            unacknowledged_deadline: zero,
            send_buffer_bytes: 0,
            receive_buffer_bytes: 0,
            unsent_bytes: 0,
            control_connections: 0,
            control_subscriptions: 0,
        };
        assert_eq!(limits.faults().len(), 13 + 1, "each field, and the two together");
    }
}
