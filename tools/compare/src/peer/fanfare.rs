//! Fanfare itself, once over each of its drivers.

use std::process::Command;

use super::{Ground, Peer, Running, free_address, home, last_word};
use crate::process::Process;

/// What the others are compared with.
pub(crate) const URING: Fanfare = Fanfare {
    name: "fanfare",
    driver: "uring",
    settings: "`fanfare serve --driver uring`, one core; replay from a history of 64 MiB",
};

/// The same without io_uring.
pub(crate) const EPOLL: Fanfare = Fanfare {
    name: "fanfare-epoll",
    driver: "epoll",
    settings: "`fanfare serve --driver epoll`, as above",
};

/// One of its drivers.
#[derive(Debug)]
pub(crate) struct Fanfare {
    name: &'static str,
    driver: &'static str,
    settings: &'static str,
}

impl Peer for Fanfare {
    fn name(&self) -> &'static str {
        self.name
    }

    fn settings(&self) -> &'static str {
        self.settings
    }

    fn version(&self, ground: &Ground) -> Result<String, String> {
        last_word(Command::new(ground.binaries.path("fanfare")?).arg("--version"))
    }

    fn start(&self, ground: &Ground) -> Result<Running, String> {
        let (address, home) = (free_address()?, home()?);
        let mut command = Command::new(ground.binaries.path("fanfare")?);
        command.args(["serve", "--driver", self.driver, "--listen", &address.to_string()]);
        let urls = ("/events?topic={topic}", "/publish?topic={topic}".to_owned());
        let process = Process::start(command, ground.cpu, home.path())?;
        Running::new(address, urls, process, home).ready()
    }
}
