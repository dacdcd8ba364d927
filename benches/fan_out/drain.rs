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
const DRAIN_CPU: usize = 1;

/// Longer than a core rests.
const PAUSE: Duration = Duration::from_millis(5);

/// Counts the bytes that a drain has read.
#[derive(Clone)]
pub(super) struct Drained(Arc<AtomicU64>);

/// Reads all of `sockets` until they end, on a thread of its own.
pub(super) fn drain(sockets: Vec<TcpStream>) -> Drained {
    let drained = Drained(Arc::default());
    let counter = drained.clone();
    std::thread::spawn(move || {
        pin(DRAIN_CPU);
        drain_all(&sockets, &counter.0).expect("epoll works");
    });
    drained
}

impl Drained {
    /// Waits until so many bytes have been read in all, from the first, and then for a while: a
    /// core rests between passes and its CPU goes cold, so everybody's does.
    pub(super) fn wait_for(&self, bytes: u64) {
        while self.0.load(Ordering::Relaxed) < bytes {
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(PAUSE);
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

fn drain_all(sockets: &[TcpStream], drained: &AtomicU64) -> rustix::io::Result<()> {
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
            let socket = &sockets[event.data.u64() as usize];
            match rustix::net::recv(socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((_, 0)) => return Ok(()),
                Ok((_, count)) => drained.fetch_add(count as u64, Ordering::Relaxed),
                Err(rustix::io::Errno::AGAIN) => 0,
                Err(error) => return Err(error),
            };
        }
    }
}
