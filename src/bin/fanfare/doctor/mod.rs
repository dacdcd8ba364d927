//! `fanfare doctor`: what would hold a server back on this machine, or behind a proxy, each with the
//! line that mends it.
//!
//! A file for each kind of check: it looks, and a pure function of what it saw judges.

mod backlog;
mod descriptors;
mod finding;
mod memory;
mod ports;
mod proc;
mod proxy;
mod uring;

use std::{
    error::Error,
    fmt,
    io::{self, Write},
};

use clap::Args;
use serde::Serialize;
use tokio::runtime;

use self::{
    finding::{Finding, Level},
    proxy::Proxy,
};
use super::parse::print_line;

/// What `doctor` takes.
#[derive(Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    proxy: Proxy,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// All that was found, for machines.
#[derive(Serialize)]
struct Report<'f> {
    problems: usize,
    warnings: usize,
    findings: &'f [Finding],
}

/// There is something that does not do what it is for.
#[derive(Debug)]
struct Problems(usize);

/// Looks at everything, and prints what it finds.
///
/// # Errors
/// If there is a problem, or the report cannot be printed.
pub(crate) fn run(doctor: &Doctor) -> Result<(), Box<dyn Error>> {
    let mut findings = vec![uring::check(), descriptors::check(), backlog::check(), ports::check()];
    findings.extend(memory::check());
    if let Some(targets) = doctor.proxy.targets()? {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        findings.extend(runtime.block_on(proxy::check(&doctor.proxy, &targets))?);
    }
    let problems = count(&findings, Level::Problem);
    print(doctor, &findings)?;
    if problems > 0 { Err(Problems(problems).into()) } else { Ok(()) }
}

fn print(doctor: &Doctor, findings: &[Finding]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    if doctor.json {
        let (problems, warnings) =
            (count(findings, Level::Problem), count(findings, Level::Warning));
        return print_line(&mut output, &Report { problems, warnings, findings });
    }
    for finding in findings {
        output.write_all(finding.to_text().as_bytes())?;
    }
    output.flush()
}

fn count(findings: &[Finding], level: Level) -> usize {
    findings.iter().filter(|finding| finding.level() == level).count()
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("there is a problem"),
            count => write!(f, "there are {count} problems"),
        }
    }
}

impl Error for Problems {}
