//! Everybody comes back at once: `cargo bench --bench resume [-- --clients 10000 --behind 1000]`
//!
//! A Log of a million frames, of which one in a hundred is on the topic that the clients want. All of
//! them are connected, then all send their request with the same distance to the newest event, and the
//! time counts until the last byte has been read. Beside them live subscribers of another topic get
//! 200 messages per second, each with the time in it: their latency before and meanwhile is the other
//! half of the answer. The server has one CPU, whoever reads the other, live readers first.

#[path = "fan_out/drain.rs"]
mod drain;

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use drain::{DRAIN_CPU, SENDER_CPU, drain, pin, read_all};
use fanfare::{DriverChoice, LocalProvider, Message, Server, provider::Publication};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[derive(Parser)]
struct Arguments {
    /// Clients that resume.
    #[arg(long, default_value_t = 10_000)]
    clients: usize,
    /// Events that each has missed.
    #[arg(long, default_value_t = 1_000)]
    behind: usize,
    /// Frames in the Log.
    #[arg(long, default_value_t = 1_000_000)]
    frames: usize,
    /// Live subscribers of another topic.
    #[arg(long, default_value_t = 100)]
    live: usize,
    /// Times that it is done.
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// epoll instead of io_uring.
    #[arg(long)]
    epoll: bool,
    /// Where to write the rows as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// What cargo passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// One frame in so many is on the topic that is resumed.
const SHARE: usize = 100;
const WANTED: &str = "wanted";
const LIVE: &str = "live";
const LIVE_PERIOD: Duration = Duration::from_millis(5);
const QUIET: Duration = Duration::from_secs(3);

fn main() {
    let arguments = Arguments::parse();
    raise_descriptor_limit();
    // The core takes the only CPU that the thread that starts it may use.
    pin(SENDER_CPU);
    let provider = LocalProvider::builder().history_bytes(1 << 30).build();
    let driver = if arguments.epoll { DriverChoice::Epoll } else { DriverChoice::Uring };
    let server = Server::builder()
        .listen("127.0.0.1:0")
        .cores(1)
        .driver(driver)
        .provider(provider.clone())
        .start()
        .expect("the server starts");
    pin(DRAIN_CPU);
    let last_seen = fill(&provider, arguments.frames, arguments.behind);
    let address = server.local_addr();
    let each = bytes_of_one(address, &last_seen);
    let live = live(address, provider, arguments.live);
    println!(
        "{} clients, each {} events ({} MB in all) behind in {} frames, {} live subscribers, {}",
        arguments.clients,
        arguments.behind,
        arguments.clients * each / 1_000_000,
        arguments.frames,
        arguments.live,
        server.driver(),
    );
    let (mut times, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..arguments.repeats {
        thread::sleep(QUIET);
        let before = live.take();
        let time = resume_all(address, &last_seen, arguments.clients, each);
        let meanwhile = live.take();
        let events = (arguments.clients * arguments.behind) as f64;
        times.push(time.as_secs_f64());
        ratios.push(percentile(&meanwhile, 0.99) / percentile(&before, 0.99));
        println!(
            "caught up in {:.2} s, {:.1} M events/s; live p99 {:.1} ms before, {:.1} ms meanwhile \
             (p50 {:.1} and {:.1}, most {:.1} and {:.1})",
            time.as_secs_f64(),
            events / time.as_secs_f64() / 1e6,
            percentile(&before, 0.99),
            percentile(&meanwhile, 0.99),
            percentile(&before, 0.5),
            percentile(&meanwhile, 0.5),
            percentile(&before, 1.0),
            percentile(&meanwhile, 1.0),
        );
    }
    if let Some(path) = arguments.json {
        let rows = [row("caught up", times, "s"), row("ratio of the live p99", ratios, "")];
        let document = serde_json::json!({ "mode": "resume", "rows": rows });
        std::fs::write(path, document.to_string()).expect("the file can be written");
    }
}

/// The median with its spread, as the other benchmarks write it.
fn row(name: &str, mut values: Vec<f64>, unit: &str) -> serde_json::Value {
    values.sort_by(f64::total_cmp);
    let (value, spread) = (values[values.len() / 2], [values[0], values[values.len() - 1]]);
    serde_json::json!({ "name": name, "value": value, "unit": unit, "spread": spread })
}

/// Fills the Log, and gives the id of the event after which there are `behind` more of its topic.
fn fill(provider: &LocalProvider, frames: usize, behind: usize) -> String {
    let message = Message::new("x".repeat(128));
    let others = [Publication { message: &message, topics: &["others"] }; SHARE - 1];
    let mut last_seen = None;
    for nth in 0..frames / SHARE {
        provider.publish_batch(&others).expect("the messages are valid");
        let receipt = provider.publish(&message, &[WANTED]).expect("the message is valid");
        if nth + 1 + behind == frames / SHARE {
            last_seen = receipt.id();
        }
    }
    last_seen.expect("there are more events than each has missed").to_string()
}

fn request(topic: &str, last_seen: &str) -> String {
    format!("GET /events?topic={topic} HTTP/1.1\r\nHost: x\r\nLast-Event-ID: {last_seen}\r\n\r\n")
}

/// What one client is sent, its response head included.
fn bytes_of_one(address: SocketAddr, last_seen: &str) -> usize {
    let mut socket = TcpStream::connect(address).expect("the server listens");
    socket.write_all(request(WANTED, last_seen).as_bytes()).expect("it is connected");
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("it is not zero");
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    while let Ok(count) = socket.read(&mut buffer) {
        bytes += count;
    }
    bytes
}

fn resume_all(address: SocketAddr, last_seen: &str, clients: usize, each: usize) -> Duration {
    let connect = |_| TcpStream::connect(address).expect("the server has room");
    let sockets: Vec<_> = (0..clients).map(connect).collect();
    let one = sockets[0].try_clone().expect("a descriptor is left");
    let request = request(WANTED, last_seen);
    let start = Instant::now();
    for mut socket in &sockets {
        socket.write_all(request.as_bytes()).expect("it is connected");
    }
    let drained = drain(sockets);
    let all = (clients * each) as u64;
    drained.wait_for(all);
    let time = start.elapsed();
    assert_eq!(drained.bytes(), all, "each gets what it has missed and nothing else");
    // With one of them all end.
    one.shutdown(Shutdown::Both).expect("it is connected");
    time
}

/// The latencies of live subscribers, in milliseconds.
#[derive(Clone, Default)]
struct Latencies(Arc<Mutex<Vec<f64>>>);

impl Latencies {
    /// Those since the last time, sorted.
    fn take(&self) -> Vec<f64> {
        let mut taken = std::mem::take(&mut *self.0.lock().expect("nobody panics"));
        taken.sort_by(f64::total_cmp);
        taken
    }
}

/// Publishes times, and reads them as `subscribers` subscribers, for as long as the process lives.
fn live(address: SocketAddr, provider: LocalProvider, subscribers: usize) -> Latencies {
    let start = Instant::now();
    let latencies = Latencies::default();
    let note = latencies.clone();
    let sockets: Vec<_> = (0..subscribers).map(|_| subscribe_live(address)).collect();
    thread::spawn(move || {
        run_first();
        let mut texts = vec![String::new(); sockets.len()];
        let take = |nth: usize, bytes: &[u8]| {
            let now = start.elapsed();
            let text = &mut texts[nth];
            text.push_str(str::from_utf8(bytes).expect("events are text"));
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            let times = text[..whole].lines().filter_map(|line| line.strip_prefix("data: "));
            let times = times.map(|time| Duration::from_nanos(time.parse().expect("a time")));
            let mut noted = note.0.lock().expect("nobody panics");
            noted.extend(times.map(|time| (now - time).as_secs_f64() * 1e3));
            drop(noted);
            text.drain(..whole);
        };
        read_all(&sockets, take).expect("epoll works");
    });
    thread::spawn(move || {
        run_first();
        let now = || Message::new(start.elapsed().as_nanos().to_string());
        while provider.publish(&now(), &[LIVE]).is_ok() {
            thread::sleep(LIVE_PERIOD);
        }
    });
    latencies
}

fn subscribe_live(address: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).expect("the server listens");
    socket.write_all(request(LIVE, "").as_bytes()).expect("it is connected");
    socket
}

/// Readers and publishers that are measured share their CPU with those that catch up, before them.
fn run_first() {
    pin(DRAIN_CPU);
    let this = rustix::thread::gettid();
    if rustix::process::setpriority_process(Some(this), -10).is_err() {
        println!("no right to a higher priority: the latencies are those of a busy reader too");
    }
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).expect("the limit allowed is allowed");
}
