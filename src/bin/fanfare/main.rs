//! The `fanfare` binary: a server, and the shell's way to what a server says.

mod access;
mod config;
mod doctor;
mod header;
mod logging;
mod parse;
mod publish;
mod reload;
mod serve;
mod settings;
mod subscribe;

use std::{
    error::Error,
    io::{self, ErrorKind},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use self::{
    logging::Logging,
    settings::{Flags, Problems},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A server-sent-events broadcast engine. Without a command it serves.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Flags,
}

#[derive(Subcommand)]
enum Command {
    /// Serve subscribers and publishers over HTTP.
    Serve(Flags),
    /// Check the settings, show them, or print a file of them all.
    #[command(subcommand)]
    Config(config::Config),
    /// Follow an event stream, through reconnects.
    Subscribe(subscribe::Subscribe),
    /// Publish messages: the arguments, or the lines of standard input.
    Publish(publish::Publish),
    /// Check this machine, and a proxy in front, for what would hold a server back.
    Doctor(doctor::Doctor),
    /// Read an event stream on standard input, and print a JSON line per event.
    Parse(parse::Parse),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let logging = Logging::start();
    let done = match cli.command {
        None => serve::run(&cli.serve, &logging),
        Some(Command::Serve(flags)) => serve::run(&flags, &logging),
        Some(Command::Config(config)) => config::run(&config),
        Some(Command::Subscribe(subscribe)) => subscribe::run(subscribe),
        Some(Command::Publish(publish)) => publish::run(publish),
        Some(Command::Doctor(doctor)) => doctor::run(&doctor),
        Some(Command::Parse(parse)) => parse::run(&parse),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) if is_reader_gone(&*fault) => ExitCode::SUCCESS,
        Err(fault) => {
            print_fault(&*fault);
            ExitCode::FAILURE
        }
    }
}

/// Whether the next command of a pipe has had enough, as `head` has.
fn is_reader_gone(fault: &(dyn Error + 'static)) -> bool {
    fault.downcast_ref().is_some_and(|fault: &io::Error| fault.kind() == ErrorKind::BrokenPipe)
}

/// The fault with its causes, on one line; problems of settings begin with their places.
fn print_fault(fault: &(dyn Error + 'static)) {
    if fault.is::<Problems>() {
        return eprintln!("{fault}");
    }
    eprintln!("fanfare: {}", with_causes(fault));
}

fn with_causes(fault: &dyn Error) -> String {
    let mut line = fault.to_string();
    let mut cause = fault.source();
    while let Some(fault) = cause {
        line.push_str(&format!(": {fault}"));
        cause = fault.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
        assert!(Cli::try_parse_from(["fanfare", "--cores", "2"]).is_ok());
        assert!(Cli::try_parse_from(["fanfare", "config", "show", "--lag", "skip"]).is_ok());
        assert!(Cli::try_parse_from(["fanfare", "serve", "--driver", "magic"]).is_err());
        assert!(Cli::try_parse_from(["fanfare", "publish"]).is_err());
    }
}
