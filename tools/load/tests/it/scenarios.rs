//! Each scenario, small, against the server that the tester starts, and against one that does not keep
//! what the scenario asks for.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::mock::{Mock, Run, load, run};

/// The server of this build. `cargo test --workspace` builds it; `cargo test -p fanfare-load` need not.
fn server() -> Option<PathBuf> {
    let server = Path::new(env!("CARGO_BIN_EXE_fanfare-load")).with_file_name("fanfare");
    if server.is_file() {
        return Some(server);
    }
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!in_ci, "skipped in CI: no {}", server.display());
    eprintln!("skipped: no {}; cargo test --workspace builds it", server.display());
    None
}

/// Plays a scenario, which must pass, and gives its report.
#[track_caller]
fn passes(flags: &[&str]) -> Option<Value> {
    let server = server()?;
    let run = run(&[flags, &["--server", &server.to_string_lossy(), "--json", "-"]].concat());
    assert_eq!(run.status, Some(0), "{flags:?}: {} {}", run.report, run.stderr);
    assert_eq!(run.report["verdict"], "passed");
    assert_eq!(run.report["scenario"], flags[0]);
    assert_eq!(run.report["delivery"]["delivered"], run.report["delivery"]["expected"]);
    Some(run.report)
}

#[test]
fn workers_share_the_work_and_their_counts_add_up() {
    let flags = "steady --subscribers 60 --topics 3 --processes 3 --rate 300 --duration 1s";
    let Some(report) = passes(&flags.split(' ').collect::<Vec<_>>()) else { return };
    // 100 messages to each of 3 topics of 20 subscribers.
    assert_eq!(report["delivery"]["delivered"], 3 * 100 * 20);
    assert_eq!(report["latency_ms"]["count"], 3 * 100 * 20);
    assert_eq!(
        (&report["setting"]["processes"], &report["setting"]["topics"]),
        (&3.into(), &3.into())
    );
    let fan_out = &report["fan_out"];
    assert!(fan_out["events"].as_u64().is_some_and(|events| events > 50), "{fan_out}");
    let at = |which: &str| fan_out[which]["p50"].as_f64().unwrap_or(-1.0);
    assert!(at("first_ms") <= at("median_ms") && at("median_ms") <= at("last_ms"), "{fan_out}");
    assert!(report["series"].as_array().is_some_and(|points| points.len() > 3));
}

#[test]
fn idle_connections_are_held() {
    let flags = ["hold", "--subscribers", "50", "--duration", "500ms"];
    let Some(report) = passes(&flags) else { return };
    assert_eq!((&report["result"]["held"], &report["result"]["lost"]), (&50.into(), &0.into()));
    assert_eq!(report["connect"]["connected"], 50);
    assert!(report["server"]["voluntary_switches"].is_u64(), "{}", report["server"]);
}

#[test]
fn connections_come_at_the_rate_that_was_asked() {
    let flags = ["ramp", "--subscribers", "100", "--rate", "200"];
    let Some(report) = passes(&flags) else { return };
    let connect = &report["connect"];
    assert_eq!((&connect["attempted"], &connect["connected"]), (&100.into(), &100.into()));
    // The hundredth is due after 99/200 s, and never before.
    let seconds = connect["seconds"].as_f64().unwrap_or_default();
    assert!(seconds >= 0.495, "{connect}");
    assert_eq!(connect["first_byte_ms"]["count"], 100);
}

#[test]
fn a_ladder_is_climbed_to_its_end_or_to_what_does_not_hold() {
    let climb = "ladder --subscribers 20 --from 50 --factor 2 --step 300ms --objective";
    let steps = climb.split(' ');
    let easy = [steps.clone().collect(), vec!["max<60s", "--steps", "2"]].concat();
    let Some(report) = passes(&easy) else { return };
    assert_eq!(report["phases"].as_array().map(Vec::len), Some(2));
    assert_eq!(report["phases"][1]["holds"], true);
    assert_eq!(report["result"]["ended"], "all 2 steps held");
    let knee = report["result"]["knee_rate"].as_f64();
    let bottleneck = report["phases"][1]["bottleneck"].as_bool();
    assert_eq!(knee, (bottleneck == Some(false)).then_some(100.0), "{}", report["result"]);
    let hard = [steps.collect(), vec!["p50<0.001ms"]].concat();
    let Some(report) = passes(&hard) else { return };
    assert_eq!(report["phases"].as_array().map(Vec::len), Some(1));
    assert_eq!(report["phases"][0]["holds"], false);
    assert!(report["result"]["knee_rate"].is_null(), "{}", report["result"]);
}

#[test]
fn all_come_back_from_a_storm_and_nothing_is_lost() {
    let flags = "storm --subscribers 60 --processes 2 --rate 100 --duration 2s --away 300ms";
    let Some(report) = passes(&flags.split(' ').collect::<Vec<_>>()) else { return };
    let result = &report["result"];
    assert_eq!((&result["killed"], &result["back"]), (&60.into(), &60.into()), "{result}");
    assert_eq!(result["caught_up_ms"]["count"], 60, "{result}");
    let back = result["back_ms"]["min"].as_f64().unwrap_or_default();
    assert!(back >= 300.0, "nobody was back before it went: {result}");
    assert_eq!(report["delivery"]["expected"], 60 * 200);
}

#[test]
fn what_a_server_does_not_replay_is_missing_after_a_storm() {
    let flags = ["storm", "--rate", "100", "--duration", "2s", "--away", "300ms"];
    let run = plays_against(Mock::faultless(), &flags);
    assert_eq!(run.status, Some(1), "{run:?}");
    // Some 30 messages to each of 20 subscribers, whenever exactly they were away.
    let missing = run.report["audit"]["missing"].as_u64().unwrap_or_default();
    assert!((20 * 10..20 * 150).contains(&missing), "{}", run.report["audit"]);
    let delivered = run.report["delivery"]["delivered"].as_u64().unwrap_or_default();
    assert_eq!(delivered + missing, 20 * 200);
    assert_eq!(run.report["result"]["back"], 20);
}

#[test]
fn a_server_that_takes_nobody_back_has_failed() {
    let server = Mock { places: 20, ..Mock::faultless() };
    let flags = ["storm", "--rate", "100", "--duration", "1s", "--away", "100ms"];
    let run = plays_against(server, &flags);
    assert_eq!((run.status, &run.report["verdict"]), (Some(1), &"failed".into()), "{run:?}");
    assert_eq!(
        (&run.report["result"]["killed"], &run.report["result"]["back"]),
        (&20.into(), &0.into())
    );
    let notes = run.report["notes"].to_string();
    assert!(
        notes.contains("20 connections never became a stream") && notes.contains("503"),
        "{notes}"
    );
}

#[test]
fn a_server_that_never_answers_has_failed() {
    // It accepts, as the kernel does that for it, and is never heard of again.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let target = format!("http://{}", silent.local_addr().expect("bound"));
    let flags = "ramp --subscribers 3 --connecting 2 --rate 100 --patience 300ms --json - --target";
    let run = run(&[flags.split(' ').collect(), vec![&target[..]]].concat());
    assert_eq!((run.status, &run.report["verdict"]), (Some(1), &"failed".into()), "{run:?}");
    assert_eq!(run.report["connect"]["connected"], 0);
    assert!(run.report["notes"].to_string().contains("3 connections were still"), "{run:?}");
}

fn plays_against(server: Mock, flags: &[&str]) -> Run {
    let target = format!("http://{}", server.serve());
    let small = ["--subscribers", "20", "--patience", "1s", "--target", &target, "--json", "-"];
    run(&[flags, &small].concat())
}

#[test]
fn slow_readers_are_told_apart_from_the_others() {
    let flags = "slow --subscribers 40 --share 25% --read 100 --rate 200 --duration 2s";
    let Some(report) = passes(&flags.split(' ').collect::<Vec<_>>()) else { return };
    let result = &report["result"];
    assert_eq!(result["slow"], 10);
    assert_eq!(report["delivery"]["expected"], 30 * 400);
    // They had all of the first half, and 100 bytes are less than an event.
    let share = result["slow_delivered_share"].as_f64().unwrap_or_default();
    assert!((0.5..0.95).contains(&share), "{result}");
    assert_eq!(report["phases"].as_array().map(Vec::len), Some(2));
}

#[test]
fn all_get_what_was_published_before_they_came() {
    let flags = "replay --subscribers 42 --topics 2 --processes 2 --messages 200";
    let Some(report) = passes(&flags.split(' ').collect::<Vec<_>>()) else { return };
    let result = &report["result"];
    assert_eq!((&result["messages"], &result["caught_up_ms"]["count"]), (&200.into(), &40.into()));
    // 100 messages a topic, all but the first, to 40 who came for them.
    assert_eq!(report["delivery"]["expected"], 40 * 99);
    assert_eq!(report["latency_ms"]["count"], 0, "what is past has no latency");
}

#[test]
fn what_a_server_does_not_keep_is_missing_from_the_replay() {
    let run = plays_against(Mock::faultless(), &["replay", "--messages", "100", "--rate", "500"]);
    assert_eq!(run.status, Some(1), "{run:?}");
    assert_eq!(run.report["audit"]["missing"], 19 * 99, "{}", run.report["audit"]);
}

#[test]
fn some_come_and_go_and_the_others_get_everything() {
    let flags = "churn --subscribers 40 --churn 40 --rate 100 --duration 2s";
    let Some(report) = passes(&flags.split(' ').collect::<Vec<_>>()) else { return };
    let went = report["result"]["went"].as_u64().unwrap_or_default();
    assert!((40..=80).contains(&went), "{}", report["result"]);
    assert_eq!(report["delivery"]["expected"], 20 * 200);
}

#[test]
fn a_soak_tells_the_slope_of_the_memory() {
    let flags = "soak --subscribers 20 --rate 100 --duration 2s";
    let Some(report) = passes(&flags.split(' ').collect::<Vec<_>>()) else { return };
    let result = &report["result"];
    assert!(result["memory_bytes_per_hour"].is_f64(), "{result}");
    assert!(result["memory_bytes_start"].as_u64() > Some(100_000), "{result}");
}

#[test]
fn a_blind_run_says_that_it_was() {
    let run = load(Mock::faultless().serve(), &["--blind"]);
    assert_eq!((run.status, &run.report["verdict"]), (Some(0), &"unaudited".into()), "{run:?}");
    assert!(run.report["notes"].to_string().contains("not audited"), "{}", run.report["notes"]);
    assert_eq!(run.report["delivery"]["delivered"], 0);
    let bytes = run.report["delivery"]["bytes"].as_u64();
    assert!(bytes > Some(20 * 200 * 128), "{}", run.report["delivery"]);
}

#[test]
fn latencies_can_be_written_as_a_log_that_others_read() {
    let path = std::env::temp_dir().join(format!("fanfare-load-{}.hlog", std::process::id()));
    let run = load(Mock::faultless().serve(), &["--hdr", &path.to_string_lossy()]);
    assert_eq!(run.status, Some(0), "{run:?}");
    let log = std::fs::read_to_string(&path).expect("it was written");
    std::fs::remove_file(&path).expect("it was written");
    assert!(log.contains("#[StartTime: ") && log.contains("HISTFAAA"), "{log}");
}
