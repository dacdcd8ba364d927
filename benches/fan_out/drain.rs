//! The subscribers: one thread that reads and forgets, on a CPU of its own.

use std::{
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::{
    event::epoll,
    net::RecvFlags,
    thread::{CpuSet, sched_setaffinity},
};

/// CPU of the senders, and of the drains.
pub(super) const SENDER_CPU: usize = 0;
pub(super) const DRAIN_CPU: usize = 1;

/// Counts the bytes that a drain has read.
#[derive(Clone)]
pub(super) struct Drained(Arc<AtomicU64>);

/// Reads all of `sockets` until they end, on a thread of its own.
pub(super) fn drain(sockets: Vec<TcpStream>) -> Drained {
    let drained = Drained(Arc::default());
    let counter = drained.clone();
    std::thread::spawn(move || {
        pin(DRAIN_CPU);
        let count = |_, bytes: &[u8]| {
            counter.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        };
        read_all(&sockets, count).expect("epoll works");
    });
    drained
}

impl Drained {
    /// Waits until so many bytes have been read in all, from the first.
    pub(super) fn wait_for(&self, bytes: u64) {
        while self.0.load(Ordering::Relaxed) < bytes {
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Bytes read so far.
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Keeps this thread on one CPU.
pub(super) fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).expect("the benchmark needs two CPUs");
}

/// Reads what comes on any of `sockets` until one of them ends, and calls `take` with its place and that.
pub(super) fn read_all(
    sockets: &[TcpStream],
    mut take: impl FnMut(usize, &[u8]),
) -> rustix::io::Result<()> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (nth, socket) in sockets.iter().enumerate() {
        let data = epoll::EventData::new_u64(nth as u64);
        epoll::add(&epoll, socket, data, epoll::EventFlags::IN)?;
    }
    let mut buffer = vec![0; 256 * 1024];
    let mut ready = Vec::with_capacity(1024);
    loop {
        ready.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut ready), None)?;
        for event in &ready {
            let nth = event.data.u64() as usize;
            match rustix::net::recv(&sockets[nth], &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((_, 0)) => return Ok(()),
                Ok((_, count)) => take(nth, &buffer[..count]),
                Err(rustix::io::Errno::AGAIN) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
