//! The peers: how each is found, set up, started and named. A file each.
//!
//! A peer gets the settings that its own documents advise for such a load; what these are is in
//! `settings`, for everybody to judge.

mod better_sse;
mod fanfare;
mod nchan;
mod pushpin;
mod rust;

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{binaries::Binaries, interrupt, process::Process};

/// All that can be had from package registries, Fanfare first.
pub(crate) const PEERS: &[&dyn Peer] = &[
    &fanfare::URING,
    &fanfare::EPOLL,
    &rust::AXUM,
    &rust::HYPER,
    &nchan::Nchan,
    &pushpin::Pushpin,
    &better_sse::BetterSse,
];

/// Those that we know of and cannot be had so.
pub(crate) const NOT_TO_BE_HAD: &[(&str, &str)] = &[
    ("Mercure", "a Go program and a container image; not in Debian, crates.io, npm or PyPI"),
    ("Centrifugo", "a Go program and a container image; not in Debian, crates.io, npm or PyPI"),
    ("go-sse", "a Go library; not in Debian, crates.io, npm or PyPI"),
];

const READY_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What peers are started with.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) binaries: Binaries,
    /// The CPU of all servers.
    pub(crate) cpu: usize,
}

/// A server that is compared.
pub(crate) trait Peer: Sync {
    /// As on the command line.
    fn name(&self) -> &'static str;

    /// What it is and how it is set up.
    fn settings(&self) -> &'static str;

    /// Which one is installed.
    ///
    /// # Errors
    /// In words: it is not, or cannot run here.
    fn version(&self, ground: &Ground) -> Result<String, String>;

    /// Starts it on free ports, with its state in a temporary folder.
    ///
    /// # Errors
    /// In words.
    fn start(&self, ground: &Ground) -> Result<Running, String>;
}

/// A peer that runs; it ends with this value.
#[derive(Debug)]
pub(crate) struct Running {
    /// `http://` and its address.
    pub(crate) target: String,
    /// Where to subscribe, for the load tester.
    pub(crate) subscribe_url: &'static str,
    /// Where to publish, each message in the body of a POST.
    pub(crate) publish_url: String,
    /// Its processes: what they use counts, with their descendants.
    processes: Vec<Process>,
    /// What it needs and is not part of it.
    beside: Vec<Process>,
    /// Where its state is. It goes last.
    _home: TempDir,
}

impl Running {
    fn new(
        address: SocketAddr,
        urls: (&'static str, String),
        process: Process,
        home: TempDir,
    ) -> Self {
        let (subscribe_url, publish_url) = urls;
        Self {
            target: format!("http://{address}"),
            subscribe_url,
            publish_url,
            processes: vec![process],
            beside: Vec::new(),
            _home: home,
        }
    }

    /// Waits until it answers a subscriber.
    fn ready(mut self) -> Result<Self, String> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let processes = self.processes.iter_mut().chain(&mut self.beside);
            if let Some(end) = processes.filter_map(Process::end).next() {
                return Err(end);
            }
            let last = match self.status_of_a_subscription() {
                Ok(status) if status.contains(" 200 ") => return Ok(self),
                Ok(status) => format!("it answers {}", status.trim()),
                Err(error) => error.to_string(),
            };
            if interrupt::asked() || Instant::now() > deadline {
                return Err(format!("not ready after {READY_WITHIN:?}: {last}"));
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    fn status_of_a_subscription(&self) -> io::Result<String> {
        let host = self.target.trim_start_matches("http://");
        let path = self.subscribe_url.replace("{topic}", "ready");
        let mut connection = TcpStream::connect(host)?;
        connection.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(
            connection,
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n"
        )?;
        let mut status = String::new();
        BufReader::new(connection).read_line(&mut status)?;
        Ok(status)
    }

    /// The process ids whose use counts.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.processes.iter().map(Process::pid).collect()
    }
}

fn free_address() -> Result<SocketAddr, String> {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|one| one.local_addr());
    address.map_err(|error| format!("finding a free port: {error}"))
}

fn home() -> Result<TempDir, String> {
    TempDir::with_prefix("fanfare-compare-")
        .map_err(|error| format!("making a temporary folder: {error}"))
}

fn write(path: PathBuf, text: &str) -> Result<PathBuf, String> {
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// A program that a package has installed. Where administrators' programs are is not on everybody's path.
fn installed(name: &str) -> Result<PathBuf, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| format!("no {name} here; tools/compare/setup.sh installs it"))
}

/// The last word of what a program says about its version.
fn last_word(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let word = text.split_whitespace().next_back();
    word.map(ToOwned::to_owned).ok_or_else(|| format!("{command:?} says nothing"))
}
