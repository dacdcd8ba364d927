//! What it costs to find out who subscribes: `cargo bench --bench verify`.
//!
//! Within this process a subscription is asked for on the router that the control runtime serves; over
//! HTTP, on a connection of its own, of a server with one core. Each is begun and given up. What a kind of
//! token costs is the difference to `open`. Times are those of CPUs, which others on the machine disturb
//! less: of the thread, and over HTTP of the process, so that the client is in it.

use std::{
    fs,
    hint::black_box,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{Router, body::Body};
use criterion::{Criterion, criterion_group, criterion_main};
use fanfare::{
    Server,
    server::{Access, Jwt, Permissions, StaticToken},
};
use http::{Request, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use tower::ServiceExt;

const TOPIC: &str = "users/17/orders";

const PATTERN: &str = "users/17/*";

const SECRET: &[u8] = b"an-example-that-protects-nothing-0123456789-0123456789-0123456789";

/// A way to be let in, and the header line that does it.
struct Way {
    name: &'static str,
    access: fn() -> Access,
    line: String,
}

fn ways() -> [Way; 6] {
    let secret = EncodingKey::from_secret(SECRET);
    let rsa = EncodingKey::from_rsa_pem(&key("rsa.pem")).expect("a key of RSA");
    let p256 = EncodingKey::from_ec_pem(&key("p256.pem")).expect("a key on P-256");
    let ed25519 = EncodingKey::from_ed_pem(&key("ed25519.pem")).expect("a key of Ed25519");
    [
        Way { name: "open", access: Access::new, line: String::new() },
        Way { name: "static token", access: by_static_token, line: bearer(STATIC) },
        signed("HS256", by_secret, Algorithm::HS256, &secret),
        signed("ES256", || by_public_key("p256.pub.pem"), Algorithm::ES256, &p256),
        signed("EdDSA", || by_public_key("ed25519.pub.pem"), Algorithm::EdDSA, &ed25519),
        signed("RS256", || by_public_key("rsa.pub.pem"), Algorithm::RS256, &rsa),
    ]
}

fn signed(
    name: &'static str,
    access: fn() -> Access,
    algorithm: Algorithm,
    key: &EncodingKey,
) -> Way {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later");
    let claims = json!({
        "sub": "17", "exp": now.as_secs() + 24 * 3600, "fanfare": {"subscribe": [PATTERN]}
    });
    let token = encode(&Header::new(algorithm), &claims, key).expect("the key fits");
    Way { name, access, line: bearer(&token) }
}

const STATIC: &str = "an-example-of-a-static-token";

fn by_static_token() -> Access {
    let permissions = Permissions::new(&[PATTERN], &[""; 0]).expect("a pattern");
    Access::new().token(StaticToken::new(STATIC, permissions).expect("it is long enough"))
}

fn by_secret() -> Access {
    Access::new().jwt(Jwt::new().secret(SECRET).expect("it is long enough"))
}

fn by_public_key(name: &str) -> Access {
    Access::new().jwt(Jwt::new().public_key(&key(name)).expect("a public key"))
}

fn key(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/access/keys");
    fs::read(folder.join(name)).expect("the key is there")
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn within_this_process(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("subscribe within this process");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    for Way { name, access, line } in ways() {
        let router = Server::builder().access(access()).router().expect("it is configured right");
        let value = line.trim_start_matches("Authorization: ").trim_end().to_owned();
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| {
                let before = cpu_time(ClockId::ThreadCPUTime);
                for _ in 0..count {
                    runtime.block_on(ask(&router, &value));
                }
                cpu_time(ClockId::ThreadCPUTime) - before
            });
        });
    }
}

fn cpu_time(of: ClockId) -> Duration {
    let time = clock_gettime(of);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

async fn ask(router: &Router, authorization: &str) {
    let mut request = Request::get(format!("/events?topic={TOPIC}"));
    if !authorization.is_empty() {
        request = request.header("authorization", authorization);
    }
    let request = request.body(Body::empty()).expect("a request");
    let answer = router.clone().oneshot(request).await.expect("it does not fail");
    assert_eq!(answer.status(), StatusCode::OK);
    black_box(answer);
}

fn over_http(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("subscribe over HTTP");
    for Way { name, access, line } in ways() {
        let builder = Server::builder().listen("127.0.0.1:0").cores(1).access(access());
        let server = builder.start().expect("it starts");
        let request = format!("GET /events?topic={TOPIC} HTTP/1.1\r\nHost: bench\r\n{line}\r\n");
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| {
                let before = cpu_time(ClockId::ProcessCPUTime);
                for _ in 0..count {
                    subscribe(server.local_addr(), request.as_bytes());
                }
                cpu_time(ClockId::ProcessCPUTime) - before
            });
        });
        server.shutdown();
        server.wait();
    }
}

/// Connects, subscribes, reads the head of the answer, and leaves.
fn subscribe(address: SocketAddr, request: &[u8]) {
    let mut socket = TcpStream::connect(address).expect("the server accepts");
    // Without it, ports would wait for a minute each.
    let linger = socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO));
    linger.expect("a socket");
    socket.write_all(request).expect("the server reads");
    let mut head = [0; 1024];
    let mut len = 0;
    while !head[..len].ends_with(b"\r\n\r\n") {
        len += socket.read(&mut head[len..]).expect("the server answers");
    }
    assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&head[..len]));
}

criterion_group!(benches, within_this_process, over_http);
criterion_main!(benches);
