//! The server process: the binary as a user starts it, on a port of its own.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::thread;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use serde_json::Value;

use super::{
    Connection, Driver, Metrics, PATIENCE, Publisher, Receipt, Response, eventually,
    query_of_topics,
};

/// Cores of the server: two, so that what must hold across cores is tried across cores.
const CORES: &str = "2";

/// How many lines of the server's output are kept to be shown when a test fails.
const LOG_LINES_MAX: usize = 200;

/// What a server is started with.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    driver: &'static str,
    listen: String,
    history_bytes: Option<&'static str>,
    arguments: Vec<String>,
    variables: Vec<(&'static str, String)>,
    prelude: Option<&'static str>,
}

impl Options {
    /// A server on a free port of the loopback.
    pub(crate) fn new(driver: Driver) -> Self {
        Self::with(driver.name())
    }

    /// A server that chooses its driver.
    pub(crate) fn automatic() -> Self {
        Self::with("auto")
    }

    fn with(driver: &'static str) -> Self {
        Self {
            driver,
            listen: free_address(),
            history_bytes: None,
            arguments: Vec::new(),
            variables: Vec::new(),
            prelude: None,
        }
    }

    /// Keeps that much history, in the notation of `--history-bytes`.
    pub(crate) fn history_bytes(mut self, bytes: &'static str) -> Self {
        self.history_bytes = Some(bytes);
        self
    }

    /// Adds an argument of the command line.
    pub(crate) fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets a variable of its environment.
    pub(crate) fn variable(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// Listens there.
    pub(crate) fn listen(mut self, address: &str) -> Self {
        self.listen = address.to_owned();
        self
    }

    /// Starts it in a shell that has run this before, such as `ulimit -n 512`.
    pub(crate) fn after(mut self, prelude: &'static str) -> Self {
        self.prelude = Some(prelude);
        self
    }

    /// The command that starts such a server.
    pub(crate) fn command(&self) -> Command {
        let mut command = match self.prelude {
            None => Command::new(binary()),
            Some(prelude) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("{prelude} && exec \"$0\" \"$@\"")]);
                shell.arg(binary());
                shell
            }
        };
        command.args(["serve", "--listen", &self.listen, "--cores", CORES]);
        command.args(["--driver", self.driver]);
        command.args(self.history_bytes.into_iter().flat_map(|bytes| ["--history-bytes", bytes]));
        command.args(&self.arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts the server and waits for the line in which it says where it listens.
    pub(crate) fn start(self) -> Server {
        raise_file_limit();
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");

        let log = Log::default();
        log.follow(child.stderr.take().expect("stderr is piped"), |_| {});
        let (first_line, said) = mpsc::channel();
        log.follow(child.stdout.take().expect("stdout is piped"), move |line| {
            // Nobody listens after the first line.
            let _ = first_line.send(line.to_owned());
        });
        let banner = said.recv_timeout(PATIENCE).unwrap_or_default();
        let Some(address) = address_in(&banner) else {
            let _ = child.kill();
            panic!("the first line on stdout names no address: {banner:?}\n{}", log.tail());
        };
        Server { child, address, banner, log, options: self, killed: false }
    }
}

/// A free address whose port no connection is given for its own end: those are from 32768 up, and one of
/// them could take the port of a server that is being restarted.
pub(crate) fn free_address() -> String {
    const PORTS: Range<u32> = 10_000..30_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let is_free = |address: &String| TcpListener::bind(address).is_ok();
    let addresses = PORTS.map(|_| {
        let nth = std::process::id()
            .wrapping_mul(101)
            .wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed));
        format!("127.0.0.1:{}", PORTS.start + nth % PORTS.len() as u32)
    });
    addresses.into_iter().find(is_free).expect("one of them is free")
}

/// A running server, killed when dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    banner: String,
    log: Log,
    options: Options,
    killed: bool,
}

impl Server {
    /// A server with the default options.
    pub(crate) fn start(driver: Driver) -> Self {
        Options::new(driver).start()
    }

    /// Kills the server as `kill -9` does and starts another on the same port.
    pub(crate) fn restart(&mut self) {
        self.kill();
        *self = self.options.clone().listen(&self.address.to_string()).start();
    }

    /// Ends the server as a service manager does, and waits for it.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal();
        self.ended()
    }

    /// Asks the server to end, and does not wait.
    pub(crate) fn signal(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("the server lives");
        self.killed = true;
    }

    /// Waits until a server that was asked to end has.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        eventually("the server ends", || self.child.try_wait().expect("it is ours"))
    }

    /// Waits until it has printed a line with this, and returns it.
    pub(crate) fn await_log(&self, text: &str) -> String {
        eventually(&format!("a line with {text:?}"), || {
            let log = self.log.tail();
            log.lines().find(|line| line.contains(text)).map(str::to_owned)
        })
    }

    /// Waits until it has printed a line with this in it, and returns it.
    pub(crate) fn await_log_with(&self, part: &str) -> String {
        eventually(&format!("a line with {part:?}"), || {
            let log = self.log.tail();
            log.lines().find(|line| line.contains(part)).map(str::to_owned)
        })
    }

    /// Asks the server to read its settings again, as a service manager does.
    pub(crate) fn hang_up(&self) {
        kill_process(Pid::from_child(&self.child), Signal::HUP).expect("the server lives");
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it answers operators, which it was told to.
    pub(crate) fn admin(&self) -> SocketAddr {
        address_in(&self.await_log("operate:")).expect("the line has an address")
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The first line that it printed.
    pub(crate) fn banner(&self) -> &str {
        &self.banner
    }

    /// A fresh connection.
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    /// `GET target` on a connection of its own.
    pub(crate) fn get(&self, target: &str) -> Response {
        self.connect().get(target)
    }

    /// `POST target` on a connection of its own.
    pub(crate) fn post(&self, target: &str, content_type: &str, body: &[u8]) -> Response {
        self.connect().post(target, content_type, body)
    }

    /// Publishes a text on a connection of its own.
    pub(crate) fn publish(&self, topics: &[&str], data: &str) -> Receipt {
        Publisher::open(self).text(topics, data)
    }

    /// How many subscribers the topic has now.
    pub(crate) fn subscribers(&self, topic: &str) -> u64 {
        let target = format!("/subscribers{}", query_of_topics(&[topic]));
        let answer = self.get(&target).expect_json(200);
        assert_eq!(answer["topic"], Value::from(topic));
        answer["subscribers"].as_u64().expect("a count")
    }

    /// Waits until the topic has that many subscribers.
    pub(crate) fn await_subscribers(&self, topic: &str, count: u64) {
        eventually(&format!("{count} subscribers of {topic:?}"), || {
            (self.subscribers(topic) == count).then_some(())
        });
    }

    /// What `/metrics` says now.
    pub(crate) fn metrics(&self) -> Metrics {
        Metrics::parse(&self.get("/metrics").expect_text(200))
    }

    /// Bytes of memory that the process holds, as the kernel counts them.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("the server lives");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a VmRSS line");
        let kib: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("KiB");
        kib * 1024
    }

    fn kill(&mut self) {
        self.killed = true;
        // An error means that it has ended before, which `drop` tells.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let died = if self.killed { None } else { self.child.try_wait().ok().flatten() };
        self.kill();
        let log = self.log.tail();
        if thread::panicking() {
            // Shown by the test harness beneath the failure.
            eprintln!("--- the server's log ---\n{log}");
            return;
        }
        let panicked = log.contains("panicked at");
        assert!(!panicked, "a thread of the server panicked during the test:\n{log}");
        assert!(died.is_none(), "the server ended during the test, {died:?}:\n{log}");
    }
}

/// The last lines of what the server printed.
#[derive(Clone, Default)]
struct Log {
    lines: Arc<Mutex<Vec<String>>>,
}

impl Log {
    /// Reads the pipe to its end on a thread, so that the server never blocks on a full one.
    fn follow(
        &self,
        pipe: impl Read + Send + 'static,
        mut seen: impl FnMut(&str) + Send + 'static,
    ) {
        let lines = Arc::clone(&self.lines);
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                seen(&line);
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                if lines.len() == LOG_LINES_MAX {
                    lines.remove(0);
                }
                lines.push(line);
            }
        });
    }

    fn tail(&self) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }
}

/// The binary under test: the one that cargo has built beside the tests, or another one, such as
/// a release build, named by `FANFARE_TEST_BINARY`.
pub(crate) fn binary() -> OsString {
    env::var_os("FANFARE_TEST_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_fanfare").into())
}

/// The address in `… listening on http://127.0.0.1:PORT · …`.
fn address_in(banner: &str) -> Option<SocketAddr> {
    let (_, rest) = banner.split_once("http://")?;
    rest.split([' ', '/']).next()?.parse().ok()
}

/// Takes all the file descriptors that this process may have; the servers inherit the limit.
fn raise_file_limit() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let limit = getrlimit(Resource::Nofile);
        // A refusal shows where it matters: in a test that runs out of them.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    });
}
