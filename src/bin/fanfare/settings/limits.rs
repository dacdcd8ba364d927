//! The limits that an operator sets: see `fanfare::limits::Limits`, whose fields these are.

use std::time::Duration;

use clap::Args;
use fanfare::limits::{self, Limits};

use super::{Size, Span};

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitSettings {
    /// Most subscribers and other connections of a core.
    ///
    /// Each costs some 150 B of the process as an idle subscriber, and 4 KiB of the kernel. The
    /// descriptors that the process may have are a limit as well.
    #[arg(long, value_name = "N", default_value_t = limits::CONNECTIONS_PER_CORE_DEFAULT)]
    pub(crate) connections_per_core: usize,
    /// Time from accepting a connection to the end of its first request's head, however it drips.
    ///
    /// Until then it holds what has arrived of the head, at most 16 KiB.
    #[arg(long, value_name = "TIME", default_value_t = Span(limits::HEAD_DEADLINE))]
    pub(crate) head_deadline: Span,
    /// Most topics of one subscription over HTTP, 256 at the most.
    ///
    /// A subscriber on n topics costs n times the CPU where it catches up.
    #[arg(long, value_name = "N", default_value_t = limits::TOPICS_PER_SUBSCRIPTION_DEFAULT)]
    pub(crate) topics_per_subscription: usize,
    /// Time without taking a byte after which a subscriber that is owed some is cut.
    ///
    /// Until then the kernel holds 33 to 53 KiB for it, with the usual buffers.
    #[arg(long, value_name = "TIME", default_value_t = Span(limits::WRITE_STALL_DEADLINE))]
    pub(crate) write_stall_deadline: Span,
    /// Age at which a stream ends in order and its client comes anew, a tenth more or less; 0 is never.
    ///
    /// It finds out clients that are gone behind a proxy that is not. A client that has seen no event
    /// yet misses what is published while it is away.
    #[arg(long, value_name = "TIME", default_value_t = Span(Duration::ZERO))]
    pub(crate) connection_age: Span,
    /// Time that whoever is owed something has beyond that of `drain` when the server ends.
    ///
    /// It costs no memory. A service manager must wait a little longer than both together.
    #[arg(long, value_name = "TIME", default_value_t = Span(limits::DRAIN_DEADLINE))]
    pub(crate) drain_deadline: Span,
    /// Most bytes of one published message, and of one line of an NDJSON body; 256KiB at the most.
    ///
    /// Each request that publishes holds so much at most.
    #[arg(long, value_name = "SIZE", default_value_t = Size(limits::BODY_BYTES_MAX))]
    pub(crate) body_bytes: Size,
    /// Time within which a published message must have arrived, however it drips.
    ///
    /// Until then the request holds its connection and what has arrived. A stream of lines may pause
    /// as long between two.
    #[arg(long, value_name = "TIME", default_value_t = Span(limits::BODY_DEADLINE))]
    pub(crate) body_deadline: Span,
    /// Time after which a connection ends whose peer acknowledges nothing.
    ///
    /// Until then the kernel holds what was sent.
    #[arg(long, value_name = "TIME", default_value_t = Span(limits::UNACKNOWLEDGED_DEADLINE))]
    pub(crate) unacknowledged_deadline: Span,
    /// Send buffer asked for each connection.
    ///
    /// The kernel doubles it, takes it only as it is needed, and holds no more of a reader that stalls.
    #[arg(long, value_name = "SIZE", default_value_t = Size(limits::SEND_BUFFER_BYTES))]
    pub(crate) send_buffer_bytes: Size,
    /// Receive buffer asked for each connection.
    ///
    /// The kernel doubles it, and takes it only as it is needed.
    #[arg(long, value_name = "SIZE", default_value_t = Size(limits::RECEIVE_BUFFER_BYTES))]
    pub(crate) receive_buffer_bytes: Size,
    /// Bytes that are not sent yet, of one connection, beyond which the kernel takes no more.
    ///
    /// A reader that stalls pins so much, beside what is on its way to it.
    #[arg(long, value_name = "SIZE", default_value_t = Size(limits::UNSENT_BYTES_MAX))]
    pub(crate) unsent_bytes: Size,
    /// Most connections that publish, or do anything but subscribe on a core.
    ///
    /// Each holds up to 48 KiB of buffers, and one body while it publishes.
    #[arg(long, value_name = "N", default_value_t = limits::CONTROL_CONNECTIONS_MAX)]
    pub(crate) control_connections: usize,
    /// Most of them that may be event streams, asked for on a connection that was kept alive.
    ///
    /// Each holds up to 128 KiB of events on their way to a slow client.
    #[arg(long, value_name = "N", default_value_t = limits::CONTROL_SUBSCRIPTIONS_MAX)]
    pub(crate) control_subscriptions: usize,
}

impl LimitSettings {
    /// As the library has it.
    pub(crate) fn connection_age(&self) -> Option<Duration> {
        self.connection_age.or_none()
    }
}

impl From<&LimitSettings> for Limits {
    fn from(settings: &LimitSettings) -> Self {
        let mut limits = Self::default();
        limits.connections_per_core = settings.connections_per_core;
        limits.head_deadline = settings.head_deadline.0;
        limits.topics_per_subscription = settings.topics_per_subscription;
        limits.write_stall_deadline = settings.write_stall_deadline.0;
        limits.drain_deadline = settings.drain_deadline.0;
        limits.body_bytes = settings.body_bytes.0;
        limits.body_deadline = settings.body_deadline.0;
        limits.unacknowledged_deadline = settings.unacknowledged_deadline.0;
        limits.send_buffer_bytes = settings.send_buffer_bytes.0;
        limits.receive_buffer_bytes = settings.receive_buffer_bytes.0;
        limits.unsent_bytes = settings.unsent_bytes.0;
        limits.control_connections = settings.control_connections;
        limits.control_subscriptions = settings.control_subscriptions;
        limits
    }
}
