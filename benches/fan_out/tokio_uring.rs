//! What the same sends cost over tokio-uring: written all at once, and by a task for each subscriber.

use std::{cell::Cell, rc::Rc, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::{Notify, broadcast};
use tokio_uring::{Runtime, net::TcpStream};

use super::{Contender, floor::Sockets};

/// One future writes to all of them; the runtime submits what fits into its queue at a time.
pub(super) struct Joined {
    sockets: Sockets,
    streams: Vec<TcpStream>,
    runtime: Runtime,
}

/// A task for each subscriber waits on a broadcast channel and writes what comes.
pub(super) struct Tasks {
    sockets: Sockets,
    publish: broadcast::Sender<Bytes>,
    written: Rc<Written>,
    runtime: Runtime,
}

/// How many tasks have written what was published.
#[derive(Default)]
struct Written {
    count: Cell<usize>,
    one: Notify,
}

/// Its queue of submissions, as large as our own ring's.
const SUBMISSIONS: u32 = 256;

fn runtime() -> Runtime {
    let mut builder = tokio_uring::builder();
    builder.entries(SUBMISSIONS);
    Runtime::new(&builder).expect("io_uring is there")
}

/// The servers' ends, in the runtime's hands.
fn streams(sockets: &Sockets) -> Vec<TcpStream> {
    let servers = sockets.servers.iter();
    let streams = servers
        .map(|server| TcpStream::from_std(server.try_clone().expect("a descriptor is left")));
    streams.collect()
}

impl Joined {
    pub(super) fn new(subscribers: usize, size: usize) -> Self {
        let sockets = Sockets::new(subscribers, size);
        Self { streams: streams(&sockets), sockets, runtime: runtime() }
    }
}

impl Contender for Joined {
    fn name(&self) -> &'static str {
        "tokio-uring, joined"
    }

    fn run(&mut self, rounds: usize, events: usize) -> Duration {
        self.sockets.rounds(rounds, events, |bytes| {
            let bytes = Bytes::copy_from_slice(bytes);
            let write = |stream| write_whole(stream, bytes.clone());
            self.runtime.block_on(join_all(self.streams.iter().map(write)));
        })
    }
}

impl Tasks {
    pub(super) fn new(subscribers: usize, size: usize) -> Self {
        let sockets = Sockets::new(subscribers, size);
        let (publish, _) = broadcast::channel::<Bytes>(16);
        let runtime = runtime();
        let streams = streams(&sockets);
        let written = Rc::<Written>::default();
        runtime.block_on(async {
            for stream in streams {
                let mut published = publish.subscribe();
                let written = Rc::clone(&written);
                tokio_uring::spawn(async move {
                    while let Ok(bytes) = published.recv().await {
                        write_whole(&stream, bytes).await;
                        written.count.set(written.count.get() + 1);
                        written.one.notify_one();
                    }
                });
            }
        });
        Self { sockets, publish, written, runtime }
    }
}

impl Contender for Tasks {
    fn name(&self) -> &'static str {
        "tokio-uring, tasks"
    }

    fn run(&mut self, rounds: usize, events: usize) -> Duration {
        let subscribers = self.sockets.servers.len();
        self.sockets.rounds(rounds, events, |bytes| {
            self.written.count.set(0);
            self.publish.send(Bytes::copy_from_slice(bytes)).expect("the tasks wait");
            self.runtime.block_on(async {
                while self.written.count.get() < subscribers {
                    self.written.one.notified().await;
                }
            });
        })
    }
}

async fn write_whole(stream: &TcpStream, bytes: Bytes) {
    let (written, _) = stream.write_all(bytes).await;
    written.expect("there is room");
}
