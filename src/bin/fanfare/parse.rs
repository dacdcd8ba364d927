//! `fanfare parse`: an event stream on standard input, a JSON line per event on standard output.

use std::{
    error::Error,
    io::{self, BufWriter, ErrorKind, Read, Write},
    time::Duration,
};

use clap::{Args, ValueEnum};
use fanfare::sse::{self, Item, Parser};
use serde::Serialize;

/// What `parse` takes.
#[derive(Args)]
pub(crate) struct Parse {
    /// Whose reading of the format to follow where there are two.
    #[arg(long, value_enum, default_value_t)]
    dialect: Dialect,
}

#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum Dialect {
    /// The standard's, as in browsers.
    #[default]
    Standard,
    /// That of the Go library go-sse: events without data, or without a blank line at the end, count.
    GoSse,
}

/// What a stream leaves behind for the next request, as the last line.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct End<'p> {
    /// Milliseconds.
    retry: Option<u128>,
    last_event_id: &'p str,
}

const READ_BYTES: usize = 64 * 1024;

/// Prints events until the input ends. Those that have arrived are printed before more is awaited.
pub(crate) fn run(parse: &Parse) -> Result<(), Box<dyn Error>> {
    let mut input = io::stdin().lock();
    let mut output = BufWriter::new(io::stdout().lock());
    let mut parser = Parser::new().dialect(parse.dialect.into());
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(fault) if fault.kind() == ErrorKind::Interrupted => continue,
            Err(fault) => return Err(fault.into()),
        };
        print_events(&mut parser, &buffer[..read], &mut output)?;
        output.flush()?;
    }
    if let Some(event) = parser.finish()? {
        print_line(&mut output, &event)?;
    }
    print_end(&mut output, parser.reconnection_time(), parser.last_event_id())?;
    Ok(output.flush()?)
}

fn print_events(
    parser: &mut Parser,
    mut bytes: &[u8],
    output: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    while let Some(item) = parser.next(&mut bytes)? {
        if let Item::Event(event) = item {
            print_line(output, &event)?;
        }
    }
    Ok(())
}

/// What a stream leaves behind, as a line of its own.
pub(crate) fn print_end(
    output: &mut impl Write,
    retry: Option<Duration>,
    last_event_id: &str,
) -> io::Result<()> {
    print_line(output, &End { retry: retry.map(|time| time.as_millis()), last_event_id })
}

/// A value as JSON, on one line.
pub(crate) fn print_line(output: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *output, value)?;
    output.write_all(b"\n")
}

impl From<Dialect> for sse::Dialect {
    fn from(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Standard => Self::Standard,
            Dialect::GoSse => Self::GoSse,
        }
    }
}
