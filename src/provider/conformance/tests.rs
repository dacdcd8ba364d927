//! The kit holds the three providers to the contract, and catches those that break it.

mod broken;

use super::*;
use crate::{
    limits,
    log::LogOptions,
    provider::{BroadcastProvider, LocalProvider, SerialProvider},
};

fn of_local() -> Capabilities {
    // The shortest history has room for three to four segments of 4,096 short messages.
    let replay = Replay { remembers: 8_000, forgets: 20_000, unknown_id: UnknownId::Gap };
    Capabilities { batches: true, counts: true, replay: Some(replay), ..Capabilities::default() }
}

fn local() -> LocalProvider {
    LocalProvider::new(LogOptions { history_bytes: limits::HISTORY_BYTES_MIN })
}

#[test]
fn the_local_provider_keeps_the_contract() {
    run(&of_local(), local).assert();
}

#[test]
fn the_local_provider_keeps_the_contract_with_a_long_history() {
    let capabilities = Capabilities { replay: None, ..of_local() };
    run(&capabilities, || LocalProvider::new(LogOptions::default())).assert();
}

#[test]
fn the_serial_provider_keeps_the_contract() {
    for history in [2, 3, 16, 1000] {
        let unknown_id = UnknownId::Gap;
        let replay = Replay { remembers: history, forgets: history, unknown_id };
        let capabilities = Capabilities { replay: Some(replay), ..of_local() };
        run(&capabilities, move || SerialProvider::new(history)).assert();
    }
}

#[test]
fn the_broadcast_provider_keeps_the_contract() {
    run(&Capabilities::default(), || BroadcastProvider::new(1024)).assert();
}

#[test]
fn a_report_tells_what_is_broken_and_what_the_rule_is() {
    let failed = Outcome::Failed("event 1 was nothing".to_owned());
    let finding = |rule, outcome| Finding { rule, text: "What it says.", outcome };
    let findings = vec![
        finding("kept", Outcome::Passed),
        finding("broken", failed),
        finding("elsewhere", Outcome::Skipped("it replays nothing")),
    ];
    let report = Report { findings };
    let lines: Vec<_> = report.to_string().lines().map(ToOwned::to_owned).collect();
    assert_eq!(lines[0], "passed   kept");
    assert_eq!(lines[3], "skipped  elsewhere: it replays nothing");
    let payload = std::panic::catch_unwind(|| report.assert()).unwrap_err();
    let broken = "FAILED   broken: event 1 was nothing\n         Rule: What it says.";
    let text = format!("the provider breaks 1 of 3 rules:\n{broken}");
    assert_eq!(panic_text(&*payload), text);
}
