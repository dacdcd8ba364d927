//! Who may do what, from outside: tokens of every kind, the pages of other sites, bounds for each, and
//! the library's own word on each subscription.
//!
//! The keys in `keys/` were made for these tests and protect nothing.

mod disbelief;
mod limits;
mod pages;
mod session;
mod tokens;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::harness::{Connection, Driver, Options, Response, Server, Subscriber};

/// A secret that is long enough for every hash.
const SECRET: &str = "an-example-that-protects-nothing-0123456789-0123456789-0123456789";

/// A static token that may do everything.
const ADMIN: &str = "an-example-of-a-static-token";

/// A file for one test, in the folder that cargo gives to tests.
pub(crate) fn file(content: impl AsRef<[u8]>) -> PathBuf {
    static FILES: AtomicU32 = AtomicU32::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let name = format!("access-{}-{number}", std::process::id());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).expect("the folder is there");
    path
}

/// One of the keys of these tests.
pub(crate) fn key(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/access/keys");
    fs::read(folder.join(name)).expect("the key is there")
}

/// A server that believes what is signed with [`SECRET`], and [`ADMIN`].
pub(crate) fn protected(driver: Driver) -> Options {
    let tokens = json!([{"token": ADMIN, "subscribe": ["**"], "publish": ["**"]}]);
    Options::new(driver)
        .argument(format!("--jwt-key-file={}", file(SECRET).display()))
        .argument(format!("--token-file={}", file(tokens.to_string()).display()))
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_secs()
}

fn sign(header: &Header, claims: &Value, key: &EncodingKey) -> String {
    encode(header, claims, key).expect("the key fits the algorithm")
}

/// A token by [`SECRET`] that may do this for an hour.
pub(crate) fn token(subscribe: &[&str], publish: &[&str]) -> String {
    expiring(now() + 3600, subscribe, publish)
}

fn expiring(at: u64, subscribe: &[&str], publish: &[&str]) -> String {
    let claims = json!({"exp": at, "fanfare": {"subscribe": subscribe, "publish": publish}});
    sign(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(SECRET.as_bytes()))
}

/// Asks for a subscription in the two ways there are: first on a connection, where a core answers, and
/// later on a kept one, where the control runtime does. `headers` are whole lines.
fn ask(server: &Server, query: &str, headers: &str) -> [Result<Subscriber, Response>; 2] {
    let request = format!("GET /events?{query} HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
    let mut kept = server.connect();
    assert_eq!(kept.get("/health").status, 200);
    [server.connect(), kept].map(|connection| ask_on(connection, &request))
}

fn ask_on(mut connection: Connection, request: &str) -> Result<Subscriber, Response> {
    connection.send(request.as_bytes());
    Subscriber::answered_on(connection)
}

/// The statuses of these.
fn statuses(server: &Server, query: &str, headers: &str) -> [u16; 2] {
    ask(server, query, headers).map(|answer| match answer {
        Ok(_) => 200,
        Err(refusal) => refusal.status,
    })
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// Publishes a text; `headers` are whole lines.
fn publish(server: &Server, topic: &str, headers: &str, data: &str) -> Response {
    publish_on(&mut server.connect(), topic, headers, data)
}

fn publish_on(connection: &mut Connection, topic: &str, headers: &str, data: &str) -> Response {
    let length = data.len();
    let request = format!(
        "POST /publish?topic={topic} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\
         {headers}\r\n{data}"
    );
    connection.send(request.as_bytes());
    connection.response()
}

/// Publishes as who may do everything, and returns the id.
fn publish_as_admin(server: &Server, topic: &str, data: &str) -> String {
    let answer = publish(server, topic, &bearer(ADMIN), data).expect_json(202);
    answer["id"].as_str().expect("an id").to_owned()
}

/// How long until then; a moment if it has been.
fn until(second: u64) -> Duration {
    let at = UNIX_EPOCH + Duration::from_secs(second);
    at.duration_since(SystemTime::now()).unwrap_or_default()
}
