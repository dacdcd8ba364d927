//! The cases of `tests/conformance/http-request-cases.json`: what a request gets for an answer, and what
//! becomes of its connection.
//!
//! Each is sent whole, byte by byte, and cut in two at every offset (those of long ones at some, unless
//! `FANFARE_TEST_EVERY_CUT` is set), as the first request of a connection, which a core reads, and as a
//! later one, which only the control runtime sees. Behind it comes another request, which shows whether the
//! connection goes on, and where.

mod case;
mod play;
mod subject;

use std::sync::Mutex;
use std::thread;

use self::case::{Case, NOT_PLAYED, Then};
use self::play::{Before, Cut, Outcome, Play, is_thorough};
use self::subject::Subject;
use crate::harness::Driver;

both_drivers!(
    every_case_is_answered_as_expected_however_it_is_cut,
    every_case_is_answered_alike_behind_another_request,
    what_is_refused_is_refused_in_http_1_0_as_well,
);

/// Cases played at a time: most of their time is waiting.
const AT_A_TIME: usize = 16;

/// Every so many offsets, a later request is cut, unless every cut is asked for.
const LATER_CUTS_STEP: usize = 16;

#[test]
fn every_case_of_the_file_is_played_or_named() {
    let all = Case::all();
    assert!(all.len() >= 109, "only {} cases", all.len());
    let is_known = |name: &str| all.iter().any(|case| case.name == name);
    for (name, why) in NOT_PLAYED {
        assert!(is_known(name) && !why.is_empty(), "{name} is no case");
    }
    assert_eq!(Case::played().len() + NOT_PLAYED.len(), all.len());
}

fn every_case_is_answered_as_expected_however_it_is_cut(driver: Driver) {
    play_all(driver, |subject, case| {
        let mut play = Play::new(subject, case, Before::Nothing, "first");
        let cuts = [vec![Cut::Whole], play.cuts()].concat();
        let outcomes = play.play(&cuts);
        check(case, &outcomes[0]);
        check_alike(case, &cuts, &outcomes, &outcomes[0]);
    });
}

fn every_case_is_answered_alike_behind_another_request(driver: Driver) {
    play_all(driver, |subject, case| {
        let alone = || Play::new(subject, case, Before::Nothing, "alone").play(&[Cut::Whole]);
        let behind = |before| {
            let mut play = Play::new(subject, case, before, &format!("{before:?}"));
            let mut cuts = vec![Cut::Whole, Cut::Bytewise];
            let step = if is_thorough() { 1 } else { LATER_CUTS_STEP };
            cuts.extend(play.cuts().into_iter().step_by(step));
            (play.play(&cuts), cuts)
        };
        thread::scope(|scope| {
            let answered = scope.spawn(move || behind(Before::Answered));
            let pipelined = scope.spawn(move || behind(Before::Pipelined));
            let alone = alone().remove(0);
            for behind in [answered, pipelined] {
                let (outcomes, cuts) = behind.join().expect("it is played");
                check_alike(case, &cuts, &outcomes, &alone);
            }
        });
    });
}

fn what_is_refused_is_refused_in_http_1_0_as_well(driver: Driver) {
    play_all(driver, |subject, case| {
        // HTTP/1.0 has no need of a Host.
        if !case.is_refused() || case.name == "no-host" {
            return;
        }
        let play = |before| {
            let play = Play::new(subject, case, before, &format!("old-{before:?}"));
            let Outcome { statuses, is_stream } = play.in_http_1_0().play(&[Cut::Whole]).remove(0);
            let is_refused = statuses.iter().all(|status| *status >= 400);
            assert!(is_refused && !is_stream, "{}: {before:?} {statuses:?}", case.name);
            assert!(statuses.len() <= 1, "{}: {before:?} {statuses:?}", case.name);
        };
        thread::scope(|scope| {
            for before in [Before::Nothing, Before::Answered, Before::Pipelined] {
                scope.spawn(move || play(before));
            }
        });
    });
}

#[track_caller]
fn check_alike(case: &Case, cuts: &[Cut], outcomes: &[Outcome], expected: &Outcome) {
    for (outcome, cut) in outcomes.iter().zip(cuts) {
        assert_eq!(outcome, expected, "{}: {cut:?}", case.name);
    }
}

/// Whether a case's connection is answered and ends as the case says.
fn check(case: &Case, outcome: &Outcome) {
    let Outcome { statuses, is_stream } = outcome;
    let name = &case.name;
    let first = statuses.first().copied();
    assert!(case.allows(first), "{name}: {first:?}");
    let is_alone = statuses.len() <= 1;
    match case.then {
        Then::Stream => assert_eq!((*is_stream, is_alone), (first == Some(200), true), "{name}"),
        Then::Close => assert!(!is_stream && is_alone, "{name}: {statuses:?}"),
        Then::Keep => {
            let (last, answers) = statuses.split_last().expect("an answer");
            assert!(*last == 200 && !answers.is_empty() && !is_stream, "{name}: {statuses:?}");
            assert!(
                answers.iter().all(|status| case.allows(Some(*status))),
                "{name}: {statuses:?}"
            );
            let requests = if name == "pipelined-publishes" { 2 } else { 1 };
            assert_eq!(answers.len(), requests, "{name}: {statuses:?}");
        }
        Then::Any => {}
    }
}

/// Plays every case, some at a time, and tells of all that fail.
fn play_all(driver: Driver, play: impl Fn(&Subject, &Case) + Sync) {
    let (open, with_keys) = (Subject::open(driver), Subject::with_keys(driver));
    let cases = Case::played();
    let next = Mutex::new(cases.iter());
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(case) = { next.lock().expect("no panic under it").next() } {
                    let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        play(if case.needs_keys() { &with_keys } else { &open }, case);
                    }));
                    if played.is_err() {
                        failed.lock().expect("no panic under it").push(case.name.as_str());
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no panic under it");
    assert!(failed.is_empty(), "{} of {} cases: {failed:?}", failed.len(), cases.len());
}
