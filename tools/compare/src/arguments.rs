//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Runs the same load on Fanfare and on its peers, and prints one table.
///
/// The exit status is 0 whoever was better; 1 when a run of Fanfare failed or lost something; 2 when nothing
/// was compared. Needs two CPUs: one for the servers, one for the load tester.
#[derive(Debug, Parser)]
#[command(name = "fanfare-compare", version)]
pub(crate) struct Arguments {
    /// Peers to compare (default: all that are installed; tools/compare/setup.sh installs them)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) peers: Vec<String>,

    /// Scenarios to run (default: those that end within ten minutes)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) scenarios: Vec<String>,

    /// How often each is run, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub(crate) repeat: u32,

    /// CPU of the servers
    #[arg(long, value_name = "CPU", default_value_t = 0)]
    pub(crate) server_cpu: usize,

    /// CPU of the load tester
    #[arg(long, value_name = "CPU", default_value_t = 1)]
    pub(crate) tester_cpu: usize,

    /// Folder with the built programs (default: cargo builds them in release)
    #[arg(long, value_name = "FOLDER")]
    pub(crate) binaries: Option<PathBuf>,

    /// Write the table to this file as well
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,

    /// Write every report of the load tester to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Print the table of a file that --json has written, and run nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["peers", "scenarios", "json"])]
    pub(crate) from: Option<PathBuf>,

    /// Name the peers and the scenarios, and end
    #[arg(long)]
    pub(crate) list: bool,

    /// Options for every run of the load tester, stronger than the scenario's
    #[arg(last = true, value_name = "LOAD OPTIONS")]
    pub(crate) load: Vec<String>,
}
