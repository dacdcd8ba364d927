//! `fanfare-contract`: our client as the test service that [LaunchDarkly's contract tests][harness]
//! for clients of event streams drive.
//!
//! ```sh
//! cargo run --release -p fanfare-contract                                # listens on 127.0.0.1:8000
//! sse-test-harness --url http://localhost:8000 --stop-service-at-end     # theirs
//! ```
//!
//! The harness serves the streams, and asks this service for a client of each: `POST /` with what to
//! ask for. What the client receives is posted back, numbered, to the address that came with that.
//! The protocol is documented there; `tests/it` walks it without the harness.
//!
//! [harness]: https://github.com/launchdarkly/sse-contract-tests

mod client;
mod report;
mod service;

use std::{error::Error, io::Write, net::SocketAddr};

use clap::Parser;
use tokio::net::TcpListener;

#[derive(Parser)]
#[command(about = "A test service for LaunchDarkly's SSE contract tests", version)]
struct Arguments {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let listener = TcpListener::bind(arguments.listen).await?;
    let mut stdout = std::io::stdout().lock();
    // Nobody may be reading, and that is no reason not to serve.
    let _ = writeln!(stdout, "listening on http://{}", listener.local_addr()?);
    drop(stdout);
    service::serve(listener).await?;
    Ok(())
}
