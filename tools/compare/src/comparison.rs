//! The runs, in their order.

use crate::{
    arguments::Arguments,
    binaries::Binaries,
    interrupt,
    machine::{self, Machine},
    peer::{Ground, NOT_TO_BE_HAD, PEERS, Peer},
    record::{Compared, LeftOut, Record, Run},
    scenario::{self, SCENARIOS, Scenario},
    tester::Tester,
};

/// A comparison that can be made.
pub(crate) struct Comparison {
    ground: Ground,
    tester: Tester,
    peers: Vec<&'static dyn Peer>,
    scenarios: Vec<&'static Scenario>,
    record: Record,
}

impl Comparison {
    /// Finds what is installed of what is asked for.
    ///
    /// # Errors
    /// In words: something that was named is not there, or nothing is.
    pub(crate) fn prepare(arguments: &Arguments) -> Result<Self, String> {
        if arguments.server_cpu == arguments.tester_cpu {
            return Err("servers and load tester need a CPU each".to_owned());
        }
        machine::raise_files()?;
        interrupt::listen()?;
        let binaries = Binaries::find(arguments.binaries.as_deref())?;
        let tester = binaries.path("fanfare-load")?;
        let mut comparison = Self {
            tester: Tester::new(tester, arguments.tester_cpu, &arguments.load),
            ground: Ground { binaries, cpu: arguments.server_cpu },
            peers: Vec::new(),
            scenarios: Vec::new(),
            record: Record {
                machine: Machine::here(),
                repeat: arguments.repeat,
                load: arguments.load.clone(),
                scenarios: Vec::new(),
                peers: Vec::new(),
                left_out: Vec::new(),
                runs: Vec::new(),
            },
        };
        comparison.choose_peers(&arguments.peers)?;
        comparison.choose_scenarios(&arguments.scenarios)?;
        Ok(comparison)
    }

    fn choose_peers(&mut self, names: &[String]) -> Result<(), String> {
        let known = |name: &&String| PEERS.iter().any(|peer| peer.name() == *name);
        if let Some(unknown) = names.iter().find(|name| !known(name)) {
            return Err(format!("there is no peer {unknown:?}; --list names them"));
        }
        for peer in PEERS {
            let named = names.iter().any(|name| name == peer.name());
            if !names.is_empty() && !named {
                continue;
            }
            let name = peer.name().to_owned();
            match peer.version(&self.ground) {
                Ok(version) => {
                    let settings = peer.settings().to_owned();
                    self.record.peers.push(Compared { name, version, settings });
                    self.peers.push(*peer);
                }
                Err(why) if named => return Err(format!("{name}: {why}")),
                Err(why) => self.leave_out(&name, &why),
            }
        }
        NOT_TO_BE_HAD.iter().for_each(|(name, why)| self.leave_out(name, why));
        Ok(())
    }

    fn choose_scenarios(&mut self, names: &[String]) -> Result<(), String> {
        if let Some(unknown) = names.iter().find(|name| scenario::find(name).is_none()) {
            return Err(format!("there is no scenario {unknown:?}; --list names them"));
        }
        for scenario in SCENARIOS {
            let named = names.iter().any(|name| name == scenario.name);
            if !(named || names.is_empty() && scenario.by_default) {
                continue;
            }
            self.record.scenarios.push(scenario.name.to_owned());
            self.scenarios.push(scenario);
        }
        Ok(())
    }

    fn leave_out(&mut self, name: &str, why: &str) {
        eprintln!("{name} is left out: {why}");
        self.record.left_out.push(LeftOut { name: name.to_owned(), why: why.to_owned() });
    }

    /// Makes every run.
    pub(crate) fn run(mut self) -> Record {
        for scenario in self.scenarios.clone() {
            eprintln!("== {}: {}", scenario.name, scenario.what);
            for repeat in 0..self.record.repeat {
                for index in order(self.peers.len(), repeat) {
                    self.run_once(scenario, self.peers[index], repeat);
                }
            }
        }
        self.record.machine.finish();
        self.record
    }

    fn run_once(&mut self, scenario: &Scenario, peer: &dyn Peer, repeat: u32) {
        if interrupt::asked() {
            return;
        }
        let report = peer.start(&self.ground).and_then(|it| self.tester.run(scenario, &it));
        if interrupt::asked() {
            return;
        }
        let what = format!("   {}, {} of {}", peer.name(), repeat + 1, self.record.repeat);
        match &report {
            Ok(report) => {
                let verdict = report["verdict"].as_str().unwrap_or("no verdict");
                eprintln!("{what}: {verdict}");
            }
            Err(fault) => eprintln!("{what}: {fault}"),
        }
        let (scenario, peer) = (scenario.name.to_owned(), peer.name().to_owned());
        self.record.runs.push(Run { scenario, peer, repeat, report });
    }
}

/// The order of `peers` in a repeat: there and back in turn, each pair begun one place further, so that a machine
/// that drifts favours nobody.
fn order(peers: usize, repeat: u32) -> Vec<usize> {
    let mut order: Vec<_> = (0..peers).collect();
    order.rotate_left(repeat as usize / 2 % peers.max(1));
    if repeat % 2 == 1 {
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_goes_there_and_back_and_turns() {
        assert_eq!(order(3, 0), [0, 1, 2]);
        assert_eq!(order(3, 1), [2, 1, 0]);
        assert_eq!(order(3, 2), [1, 2, 0]);
        assert_eq!(order(3, 3), [0, 2, 1]);
        assert_eq!(order(0, 1), [0; 0]);
    }
}
