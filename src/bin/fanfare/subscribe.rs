//! `fanfare subscribe`: an event stream followed through reconnects.

use std::{
    error::Error,
    io::{self, BufWriter, Write},
    time::Duration,
};

use bytes::Bytes;
use clap::Args;
use fanfare::{
    Client, Connection,
    client::{Backoff, BuildError, ConnectionError},
    sse::Event,
};
use http::{HeaderValue, Request};
use tokio::{runtime, signal};

use super::{header::Header, parse::print_end, parse::print_line, with_causes};

/// What `subscribe` takes.
#[derive(Args)]
pub(crate) struct Subscribe {
    /// The stream, topics and all: `http://127.0.0.1:8080/events?topic=demo`.
    url: String,
    /// Print a JSON line per event, and one with what the next request needs at the end.
    #[arg(long)]
    json: bool,
    /// End after so many events.
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
    /// Begin after the event with this id.
    #[arg(long, value_name = "ID")]
    last_event_id: Option<String>,
    /// Retries in a row before giving up, 0 for none [default: no end].
    #[arg(long, value_name = "N")]
    max_retries: Option<u32>,
    /// Reconnect when nothing has come for so many seconds [default: wait for ever].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    idle_timeout: Option<u64>,
    /// Header of the request, as in "Authorization: Bearer …".
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<Header>,
}

/// Prints events until there are enough, an interrupt, or a fault that no reconnect mends.
pub(crate) fn run(subscribe: Subscribe) -> Result<(), Box<dyn Error>> {
    let request = subscribe.request()?;
    let client = subscribe.client()?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = client.connect(request);
        let mut output = BufWriter::new(io::stdout().lock());
        let ended = subscribe.follow(&mut connection, &mut output).await;
        if subscribe.json {
            let last_event_id = connection.handle().last_event_id();
            print_end(&mut output, connection.reconnection_time(), &last_event_id)?;
            output.flush()?;
        }
        ended
    })
}

impl Subscribe {
    fn request(&self) -> Result<Request<Bytes>, Box<dyn Error>> {
        let mut request = Request::get(&self.url);
        for Header { name, value } in &self.headers {
            request = request.header(name, value);
        }
        if let Some(id) = &self.last_event_id {
            request = request.header("Last-Event-ID", HeaderValue::from_bytes(id.as_bytes())?);
        }
        Ok(request.body(Bytes::new())?)
    }

    fn client(&self) -> Result<Client, BuildError> {
        let mut client = Client::builder()
            .backoff(Backoff { max_retries: self.max_retries, ..Backoff::default() })
            .on_retry(say_lost);
        if let Some(seconds) = self.idle_timeout {
            client = client.read_idle_timeout(Duration::from_secs(seconds));
        }
        client.build()
    }

    async fn follow(
        &self,
        connection: &mut Connection,
        output: &mut impl Write,
    ) -> Result<(), Box<dyn Error>> {
        let mut left = self.count.unwrap_or(u64::MAX);
        while left > 0 {
            let event = tokio::select! {
                event = connection.next() => event,
                interrupt = signal::ctrl_c() => return Ok(interrupt?),
            };
            let Some(event) = event.transpose()? else { break };
            self.print(&event, output)?;
            output.flush()?;
            left -= 1;
        }
        Ok(())
    }

    fn print(&self, event: &Event, output: &mut impl Write) -> io::Result<()> {
        if self.json { print_line(output, event) } else { writeln!(output, "{}", event.data()) }
    }
}

fn say_lost(fault: &ConnectionError, wait: Duration) {
    let seconds = wait.as_secs_f64();
    eprintln!("fanfare: {}; trying again in {seconds:.1} s", with_causes(fault));
}
