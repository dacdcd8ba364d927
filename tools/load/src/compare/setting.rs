//! Whether runs can be compared, and what else one must know of them.

use std::fmt::Display;

use super::Side;
use crate::report::{Report, ScenarioResult, Verdict};

/// What differs between the settings of runs that should have the same, in words.
///
/// Where a server listens is not looked at: it is another port each time.
pub(super) fn differences(baseline: &Side, candidate: &Side) -> Vec<String> {
    let first = &baseline.runs[0];
    let mut found = Vec::new();
    let files = baseline.files.iter().chain(&candidate.files);
    for (file, run) in files.zip(baseline.runs.iter().chain(&candidate.runs)).skip(1) {
        for ((name, expected), (_, value)) in told(first).into_iter().zip(told(run)) {
            if value != expected {
                let of = &baseline.files[0];
                found.push(format!("{name}: {expected} ({of}), {value} ({file})"));
            }
        }
    }
    found
}

/// All that must be the same, with its name.
fn told(run: &Report) -> Vec<(&'static str, String)> {
    let (setting, machine) = (&run.setting, &run.machine);
    let objective = match &run.result {
        Some(ScenarioResult::Ladder { objective, .. }) => &**objective,
        _ => "none",
    };
    let told: [(&str, &dyn Display); 19] = [
        ("scenario", &run.scenario),
        ("kind of server", &setting.preset),
        ("subscribers", &setting.subscribers),
        ("topics", &setting.topics),
        ("messages per second", &setting.rate),
        ("seconds", &setting.duration_seconds),
        ("bytes of data", &setting.size_bytes),
        ("published by", &setting.publish_mode),
        ("objective", &objective),
        ("late after ms", &run.audit.late_after_ms),
        ("processes of the tester", &setting.processes),
        ("runtime", &setting.runtime),
        ("blind", &setting.blind),
        ("optimised", &setting.optimised),
        ("tester", &machine.tester_version),
        ("kernel", &machine.kernel),
        ("CPU", &machine.cpu),
        ("CPUs", &machine.cpus),
        ("memory", &machine.memory_bytes),
    ];
    told.map(|(name, value)| (name, value.to_string())).into()
}

/// Doubts about the runs, in words.
pub(super) fn notes(baseline: &Side, candidate: &Side, differences: Vec<String>) -> Vec<String> {
    let mut notes: Vec<_> =
        differences.into_iter().map(|found| format!("settings differ: {found}")).collect();
    for doubt in DOUBTS {
        let sides = [baseline, candidate].into_iter();
        let runs = sides.flat_map(|side| side.files.iter().zip(&side.runs));
        let doubted: Vec<_> =
            runs.filter(|(_, run)| (doubt.of)(run)).map(|(file, _)| file.as_str()).collect();
        if !doubted.is_empty() {
            notes.push(format!("{}: {}", doubted.join(", "), doubt.words));
        }
    }
    let fewest = baseline.runs.len().min(candidate.runs.len());
    if fewest == 2 {
        notes.push("two runs a side tell only large differences from noise".to_owned());
    }
    notes
}

/// What makes a run's figures worth less.
struct Doubt {
    of: fn(&Report) -> bool,
    words: &'static str,
}

const DOUBTS: [Doubt; 4] = [
    Doubt {
        of: |run| run.tester.bottleneck,
        words: "THE TESTER WAS THE BOTTLENECK: no rate of it is compared",
    },
    Doubt { of: |run| run.verdict == Verdict::Failed, words: "FAILED" },
    Doubt { of: |run| run.setting.blind, words: "blind: deliveries were not audited" },
    Doubt {
        of: |run| !run.setting.optimised,
        words: "the tester was built without optimisation: trust no figure",
    },
];
