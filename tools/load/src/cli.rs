//! The command line. Everything has a default: no flags is the canonical load.

use clap::{Parser, Subcommand};

use crate::compare::CompareArgs;
use crate::report::RecordedArgs;
use crate::scenario::{
    ChurnArgs, HoldArgs, LadderArgs, RampArgs, ReplayArgs, Scenario, SlowArgs, SoakArgs,
    SteadyArgs, StormArgs,
};

/// Load tester for server-sent events: every delivery to every subscriber is audited.
///
/// With no flags it starts a Fanfare server on a free port, runs the canonical load of 1,000
/// subscribers for 5 seconds, prints one table and ends the server. The exit status is 0 when
/// every delivery arrived intact, once, in order and in time, 1 when one did not, 2 when the run
/// could not be made.
#[derive(Debug, Parser)]
#[command(name = "fanfare-load", version, args_override_self = true)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// `steady`, when nothing else is said
    #[command(flatten)]
    pub(crate) steady: SteadyArgs,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Publish at one rate to all subscribers (what is done when nothing is said)
    Steady(Box<SteadyArgs>),
    /// Hold idle connections: what does each cost?
    Hold(Box<HoldArgs>),
    /// Connect at one rate: how many are accepted, when does each get its first byte?
    Ramp(Box<RampArgs>),
    /// Raise the rate until an objective does not hold any more: where is the knee?
    Ladder(Box<LadderArgs>),
    /// Cut off all subscribers at once: are they all back, and was nothing lost?
    Storm(Box<StormArgs>),
    /// Let some read slowly: what does it do to the others?
    Slow(Box<SlowArgs>),
    /// Let all ask for what was published before
    Replay(Box<ReplayArgs>),
    /// Let some come and go while messages go on
    Churn(Box<ChurnArgs>),
    /// Publish for a long time: does the server's memory grow?
    Soak(Box<SoakArgs>),
    /// Show a recorded run: the table, and what else is asked for
    Report(RecordedArgs),
    /// Say whether runs differ by more than noise: 1 is the exit status if one has become worse, 2 if
    /// they cannot be compared
    Compare(CompareArgs),
    /// The part of a run that receives; it is started by the others
    #[command(hide = true)]
    Worker,
}

impl Command {
    /// What is to be played, if anything is.
    pub(crate) fn scenario(&self) -> Option<&dyn Scenario> {
        Some(match self {
            Self::Steady(args) => &**args,
            Self::Hold(args) => &**args,
            Self::Ramp(args) => &**args,
            Self::Ladder(args) => &**args,
            Self::Storm(args) => &**args,
            Self::Slow(args) => &**args,
            Self::Replay(args) => &**args,
            Self::Churn(args) => &**args,
            Self::Soak(args) => &**args,
            Self::Report(_) | Self::Compare(_) | Self::Worker => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_flags_is_the_canonical_load() {
        let cli = Cli::parse_from(["fanfare-load"]);
        assert!(cli.command.is_none());
        let said = Cli::parse_from(["fanfare-load", "steady"]);
        let Some(Command::Steady(steady)) = said.command else { panic!("it was said") };
        assert_eq!(format!("{:?}", cli.steady), format!("{steady:?}"));
    }
}
