//! Every bound in one place, each with what it costs.
//!
//! Nothing that a peer can grow is without a line here (ARCHITECTURE.md, I7). What an operator may
//! want to change is a default, and a field of [`Limits`]; what protects the process from a peer is a
//! constant.

mod settable;

use std::time::Duration;

pub use self::settable::{LimitError, Limits};

/// Most bytes of a request head. Held on the heap only while a head has arrived in part.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Most headers of a request.
pub const HEADERS_MAX: usize = 64;

/// Most bytes of the line before a chunk of a body: its size and extensions. Nothing is held of it.
pub const CHUNK_LINE_BYTES_MAX: usize = 256;

/// Most bytes around the chunks of a body beyond twice those in them: each chunk costs a pass
/// through hyper, however little is in it.
pub const CHUNK_OVERHEAD_BYTES_MAX: u64 = 16 * 1024;

/// A head must be complete this long after the connection was accepted, however it drips.
pub const HEAD_DEADLINE: Duration = Duration::from_secs(10);

/// Most bytes of one published message: of a body, or of one line of an NDJSON body.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// Most messages of one JSON array, which is published whole and is a body of at most
/// [`BODY_BYTES_MAX`]. Each costs some 300 B while it is published, besides its text.
pub const BATCH_MESSAGES_MAX: usize = 1024;

/// Most bytes of an encoded message: the largest body with its id, event type and framing.
pub const MESSAGE_BYTES_MAX: usize = BODY_BYTES_MAX + 1024;

/// A published message must arrive whole within this time: a body, or a line of an NDJSON body, however it
/// drips. A body of lines may pause as long between two of them.
pub const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// Most bytes of a topic's name.
pub const TOPIC_BYTES_MAX: usize = 256;

/// Most topics of one subscription. A subscriber on n topics costs O(n) where it catches up.
pub const TOPICS_PER_SUBSCRIPTION_MAX: usize = 256;

/// Default most topics of one subscription over HTTP.
pub const TOPICS_PER_SUBSCRIPTION_DEFAULT: usize = 32;

/// Most patterns that are subscribed to at a time. Each costs some 300 B and its segments, and a
/// publisher one index entry for each that matches.
pub const PATTERNS_MAX: usize = 16 * 1024;

/// Most bytes of a conflation key. Where somebody conflates a topic, each key costs it some 100 B and
/// this, as long as a frame with it is retained.
pub const CONFLATION_KEY_BYTES_MAX: usize = 128;

/// Most bytes of an idempotency key.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;

/// Most idempotency keys remembered; beyond, the oldest goes before its time. Each costs up to 400 B, and
/// a batch 48 B for each further message: 26 MiB for single messages.
pub const IDEMPOTENCY_KEYS_MAX: usize = 64 * 1024;

/// Channels of the façade for Nchan whose last subscription's time is remembered; beyond, that of the one
/// known longest goes. Each costs some 100 B and its name: 6 MiB.
pub const NCHAN_CHANNELS_MAX: usize = 16 * 1024;

/// How long an idempotency key is remembered.
pub const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(120);

/// Most times that a replayer is asked for one subscriber, while the Log's tail runs away from it.
pub const REPLAYS_MAX: u32 = 8;

/// Most topics of one message. Each costs one index entry of 8 B in the Log.
pub const TOPICS_PER_MESSAGE_MAX: usize = 32;

/// Most bytes of an event id: browsers preflight longer ones on a cross-origin reconnect.
pub const EVENT_ID_BYTES_MAX: usize = 128;

/// Most bytes of an event type.
pub const EVENT_TYPE_BYTES_MAX: usize = 128;

/// Default most bytes of one line of a stream that a client reads: held once, while it arrives.
pub const STREAM_LINE_BYTES_MAX_DEFAULT: usize = 16 * 1024 * 1024;

/// Default most bytes of one event of a stream that a client reads: held once, until it is taken.
pub const STREAM_EVENT_BYTES_MAX_DEFAULT: usize = 16 * 1024 * 1024;

/// A connection that takes no byte for this long while it is owed some is cut.
pub const WRITE_STALL_DEADLINE: Duration = Duration::from_secs(10);

/// How late a connection's deadline may be looked at, so that those of many are looked at together.
pub const DEADLINE_SLACK: Duration = Duration::from_millis(100);

/// Default time between two heartbeats of a quiet stream; it is quiet for half as long again at most. A
/// proxy's usual patience is 60 s.
pub const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(15);

/// Shortest time between two heartbeats.
pub const HEARTBEAT_MIN: Duration = Duration::from_secs(1);

/// Shortest age at which a stream ends for its age alone.
pub const CONNECTION_AGE_MIN: Duration = Duration::from_secs(10);

/// Longest that a core spins before it sleeps, and only where its last sleep was shorter.
pub const SPIN_MAX: Duration = Duration::from_micros(50);

/// Longest rest between two fan-out passes of a core: what it adds to a frame's latency at most.
pub const REST_MAX: Duration = Duration::from_millis(4);

/// Most bytes a core offers the kernel for one connection that catches up, at a time.
pub const CATCH_UP_BYTES_MAX: usize = 64 * 1024;

/// Bytes sent to connections that catch up between two looks at everything else: what replay may take
/// of a core while there is live traffic. Some 0.7 ms over loopback.
pub const REPLAY_BYTES_PER_SLICE: u64 = 512 * 1024;

/// Send buffer asked for each connection; the kernel doubles it for its own overhead.
pub const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// Unsent bytes beyond which the kernel takes no more: what a reader that stalls can pin.
pub const UNSENT_BYTES_MAX: usize = 16 * 1024;

/// Receive buffer asked for each connection: a request head fits, and a chatty peer stalls.
pub const RECEIVE_BUFFER_BYTES: usize = 16 * 1024;

/// Least of a socket's buffers: what the kernel gives at the least, or nearly.
pub const SOCKET_BUFFER_BYTES_MIN: usize = 4 * 1024;

/// Most of a socket's buffers; `net.core.wmem_max` and `rmem_max` usually allow less.
pub const SOCKET_BUFFER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Shortest deadline that can be set: deadlines are looked at within [`DEADLINE_SLACK`].
pub const DEADLINE_MIN: Duration = DEADLINE_SLACK;

/// Longest deadline that can be set.
pub const DEADLINE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Sent bytes that are not acknowledged for this long end a connection.
pub const UNACKNOWLEDGED_DEADLINE: Duration = Duration::from_secs(30);

/// Connections the kernel queues for one core to accept; `net.core.somaxconn` may allow fewer.
pub const ACCEPT_BACKLOG: i32 = 4096;

/// How long to wait for a port that another process still holds.
pub const LISTEN_RETRY: Duration = Duration::from_secs(1);

/// Accepting that failed is tried again after this long, doubling up to [`ACCEPT_RETRY_MAX`].
pub const ACCEPT_RETRY_MIN: Duration = Duration::from_millis(10);

/// See [`ACCEPT_RETRY_MIN`].
pub const ACCEPT_RETRY_MAX: Duration = Duration::from_secs(1);

/// Most bytes thrown away of a peer that goes on sending after it was refused.
pub const DISCARDED_BYTES_MAX: usize = 256 * 1024;

/// Most bytes read on of a body that was refused, so that its sender gets to see why.
pub const BODY_DISCARDED_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;

/// A refused body that pauses this long is read no further.
pub const BODY_DISCARD_DEADLINE: Duration = Duration::from_millis(100);

/// A refused peer has this long to read why, and end.
pub const REFUSED_DEADLINE: Duration = Duration::from_secs(2);

/// Subscribers have this long to take what they are owed when the server shuts down.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// Time that a core which may take its time takes to end a stream before it ends the next, at most.
pub const DRAIN_PACE: Duration = Duration::from_millis(4);

/// Default time over which a server that was told to end does so.
pub const DRAIN_DEFAULT: Duration = Duration::from_secs(10);

/// A client of a server that shuts down is asked to come back after this long, up to
/// [`DRAIN_RETRY_MAX`].
pub const DRAIN_RETRY_MIN: Duration = Duration::from_secs(1);

/// See [`DRAIN_RETRY_MIN`].
pub const DRAIN_RETRY_MAX: Duration = Duration::from_secs(5);

/// Sockets waiting for the control runtime to take them.
pub const HAND_OVER_QUEUE: usize = 1024;

/// Requests waiting for their decision to begin. Beyond, they are refused.
pub const QUESTION_QUEUE: usize = 1024;

/// Decisions in progress. Each holds its request's head, and what the callback holds.
pub const QUESTIONS_MAX: usize = 16 * 1024;

/// Slots of a core's table that are looked at for an operator at a time. Where each has a subscriber, it
/// holds the core some 0.5 ms.
pub const CONNECTIONS_PER_PAGE: usize = 256;

/// Connections listed at a time, at least, while there are so many: the stretch of
/// [`CONNECTIONS_PER_PAGE`] slots that reaches this number ends the list.
pub const CONNECTIONS_LISTED_MIN: usize = 64;

/// Stretches of slots looked at for one list of connections: a core is held up by one at a time.
pub const STRETCHES_PER_LIST: usize = 16;

/// A core that does not answer an operator within this time has ended, or has too much to do.
pub const INQUIRY_DEADLINE: Duration = Duration::from_secs(2);

/// Topics looked at to find the busiest. Each costs some 50 ns of the control runtime.
pub const TOPICS_LOOKED_AT_MAX: usize = 64 * 1024;

/// Most of the busiest topics that are listed. Each costs its name twice: 512 KiB at most.
pub const TOPICS_LISTED_MAX: usize = 1000;

/// Most connections to the operator's port, each as one of [`CONTROL_CONNECTIONS_MAX`].
pub const ADMIN_CONNECTIONS_MAX: usize = 64;

/// Most of them that watch the figures live; the others are left for everything else.
pub const ADMIN_WATCHERS_MAX: usize = 16;

/// Topics whose changed number of subscribers waits to be told. Each costs its name and some 100 B:
/// 23 MiB at most.
pub const PRESENCE_CHANGES_MAX: usize = 64 * 1024;

/// Most of them that are told at a time: some 150 KB of the history.
pub const PRESENCE_TOLD_MAX: usize = 1024;

/// Time between two times that changed numbers of subscribers are told.
pub const PRESENCE_INTERVAL: Duration = Duration::from_secs(1);

/// Time between two snapshots of the figures, while somebody watches.
pub const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(1);

/// A listener that cannot accept, for want of descriptors, tries again after this long.
pub const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Lines that a core logs at debug in a second for connections that end, one for each: some 300 B, and
/// 10 µs of the core. One more says how many were left out.
pub const END_LINES_PER_SECOND: usize = 100;

/// Commands waiting for a core.
pub const COMMAND_QUEUE: usize = 64;

/// Default most connections of one core. A table entry costs 32 B, once it has been used.
pub const CONNECTIONS_PER_CORE_DEFAULT: usize = 1 << 20;

/// Sockets of a core beyond those that may subscribe: whoever gets one is told that there is no room.
pub const SOCKETS_TO_REFUSE_WITH: usize = 64;

/// Descriptors kept free for everything that is not a subscriber, or a quarter of few.
pub const DESCRIPTORS_RESERVED: usize = 1024;

/// Most connections in the control runtime. Each holds up to 80 KiB of buffers, and one body of
/// [`BODY_BYTES_MAX`] while it publishes: 660 MiB if all do so at once.
pub const CONTROL_CONNECTIONS_MAX: usize = 2048;

/// Most that [`Limits::control_connections`] may be: 3 GiB of buffers if all are in use.
pub const CONTROL_CONNECTIONS_CEILING: usize = 64 * 1024;

/// Most of them that may be event streams, which last; the others are left for everything else.
/// Each holds up to 128 KiB of events on their way to a slow client: 128 MiB if all are slow.
pub const CONTROL_SUBSCRIPTIONS_MAX: usize = 1024;

/// Most event streams of a provider without a Log, which the control runtime serves: 2 GiB if all
/// are slow. Each is a descriptor too.
pub const STREAMED_SUBSCRIPTIONS_MAX: usize = 16 * 1024;

/// Bytes read at once from a connection that is handed over. What is not checked of them is held: a head
/// of [`HEAD_BYTES_MAX`] and this at most.
pub const CONTROL_READ_BYTES: usize = 16 * 1024;

/// Receive buffer asked for a connection that is handed over: publishers send more than heads.
pub const CONTROL_RECEIVE_BUFFER_BYTES: usize = 256 * 1024;

/// Default bytes of history the Log keeps; also how far a subscriber may lag before it is cut.
pub const HISTORY_BYTES_DEFAULT: usize = 64 * 1024 * 1024;

/// Least history: two of the smallest segments.
pub const HISTORY_BYTES_MIN: usize = 2 * SEGMENT_BYTES_MIN;

/// Smallest segment: one message of [`BODY_BYTES_MAX`] and its framing must fit.
pub const SEGMENT_BYTES_MIN: usize = 2 * BODY_BYTES_MAX;

/// Largest segment: retention works by whole segments, so this is also its grain.
pub const SEGMENT_BYTES_MAX: usize = 1024 * 1024;

/// Messages that a subscriber of a `SerialProvider` may be behind before it is cut. Each is 32 B and
/// the encoded message, for every subscriber: it is encoded anew.
pub const SERIAL_QUEUE_MESSAGES: usize = 1024;

/// Most bytes of an access token. A longer one is refused unread.
pub const TOKEN_BYTES_MAX: usize = 4 * 1024;

/// Fewest bytes of a static token: fewer can be guessed.
pub const TOKEN_BYTES_MIN: usize = 16;

/// Most static tokens: each is compared with every token that comes, some 10 ns on a core.
pub const STATIC_TOKENS_MAX: usize = 256;

/// Most topics and patterns of one permission: each is compared with every topic asked for.
pub const PERMISSION_TOPICS_MAX: usize = 256;

/// Longest that a stream lasts because its token does, or a session says so: beyond it is as good as
/// for ever, and a clock still adds up.
pub const SESSION_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Most bytes of the response headers that a session adds.
pub const SESSION_HEADER_BYTES_MAX: usize = 4 * 1024;

/// Most addresses of a `Forwarded` or `X-Forwarded-For` that are looked at, from its end.
pub const FORWARDED_HOPS_MAX: usize = 32;

/// Most publishers whose rates are counted at a time, some 48 B each; one that has published nothing
/// for as long as its burst takes is forgotten.
pub const RATED_PUBLISHERS_MAX: usize = 64 * 1024;

/// How long a browser remembers the answer to a CORS preflight.
pub const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);

/// Default time a client gives a server to answer, from connecting to the end of the response head,
/// redirects included. A server that drips its head holds one connection for so long. The head
/// itself has no bound of ours: hyper takes 100 headers and some 400 KiB over HTTP/1, 16 KiB over
/// HTTP/2.
pub const CLIENT_RESPONSE_DEADLINE: Duration = Duration::from_secs(30);

/// Most bytes of an id that a client sends back: servers commonly take 8 KiB of one header.
pub const LAST_EVENT_ID_BYTES_MAX: usize = 4096;

/// A client's connection that stayed open this long has proved itself, without an event too: its
/// backoff begins anew. A server that keeps each connection a little longer is asked that often.
pub const CLIENT_PROVEN_AFTER: Duration = Duration::from_secs(5);

/// Longest time between two requests of a client, whatever a server's `retry` or `Retry-After` or
/// the client's own growth asks for; jitter on a server's `retry` comes on top.
pub const RECONNECTION_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What a reconnection time of zero grows from when connections fail one after the other, so that
/// no server can make a client ask in a busy loop.
pub const RECONNECTION_TIME_GROWTH_MIN: Duration = Duration::from_millis(1);

/// Most redirects a client follows for one request.
pub const REDIRECTS_MAX: usize = 10;

/// Most bytes a client reads in one poll before it lets other tasks run.
pub const CLIENT_POLL_BYTES_MAX: usize = 256 * 1024;

/// A stream that seems idle is looked at once more after this long: what the runtime was too busy to
/// read is then there.
pub const CLIENT_IDLE_GRACE: Duration = Duration::from_millis(10);

/// Buffer a blocking reader reads into.
pub const BLOCKING_READ_BYTES: usize = 16 * 1024;

const _: () = assert!(SEGMENT_BYTES_MIN <= SEGMENT_BYTES_MAX);
const _: () = assert!(ADMIN_WATCHERS_MAX < ADMIN_CONNECTIONS_MAX);
const _: () = assert!(CONTROL_SUBSCRIPTIONS_MAX < CONTROL_CONNECTIONS_MAX);
