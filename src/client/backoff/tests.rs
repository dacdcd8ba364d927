use super::*;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn exact() -> Backoff {
    Backoff {
        initial_interval: ms(1),
        multiplier: 2.0,
        jitter: Jitter::Off,
        max_interval: None,
        ..Backoff::default()
    }
}

fn waits(backoff: Backoff, asked: Asked, dice: f64, count: usize) -> Vec<Duration> {
    let now = Instant::now();
    let mut schedule = Schedule::new(backoff, now);
    (0..count).map(|_| schedule.next_wait(now, asked, dice).unwrap()).collect()
}

fn retry(ms: u64) -> Asked {
    Asked { reconnection_time: Some(Duration::from_millis(ms)), ..Asked::default() }
}

#[test]
fn waits_grow_to_the_cap() {
    let backoff = Backoff { max_interval: Some(ms(10)), ..exact() };
    let expected = [1, 2, 4, 8, 10, 10].map(ms);
    assert_eq!(waits(backoff, Asked::default(), 0.5, 6), expected);
}

#[test]
fn the_cap_holds_for_the_first_wait_and_after_jitter() {
    let backoff = Backoff { initial_interval: ms(8), max_interval: Some(ms(2)), ..exact() };
    assert_eq!(waits(backoff, Asked::default(), 0.5, 3), [2, 2, 2].map(ms));

    let jitter = Jitter::Fraction(0.5);
    let backoff = Backoff { jitter, ..backoff };
    assert_eq!(waits(backoff, Asked::default(), 1.0, 2), [2, 2].map(ms));
    assert_eq!(waits(backoff, Asked::default(), 0.0, 2), [1, 1].map(ms));
}

#[test]
fn jitter_keeps_to_its_bounds() {
    for (jitter, low, high) in [
        (Jitter::Off, 100, 100),
        (Jitter::Full, 0, 100),
        (Jitter::Fraction(0.25), 75, 125),
        (Jitter::Fraction(0.0), 100, 100),
    ] {
        let backoff = Backoff { initial_interval: ms(100), jitter, ..exact() };
        assert_eq!(waits(backoff, Asked::default(), 0.0, 1), [ms(low)], "{jitter:?}");
        assert_eq!(waits(backoff, Asked::default(), 1.0, 1), [ms(high)], "{jitter:?}");
    }
}

#[test]
fn a_servers_time_is_a_floor_that_jitter_only_raises() {
    for (jitter, high) in [(Jitter::Off, 100), (Jitter::Full, 200), (Jitter::Fraction(0.5), 150)] {
        let backoff = Backoff { jitter, max_interval: Some(ms(10)), ..exact() };
        // Neither below it nor, the cap being lower, above its own spread.
        assert_eq!(waits(backoff, retry(100), 0.0, 2), [100, 100].map(ms), "{jitter:?}");
        assert_eq!(waits(backoff, retry(100), 1.0, 2), [high, high].map(ms), "{jitter:?}");
    }
}

#[test]
fn a_servers_time_grows_to_the_cap_with_its_spread() {
    let backoff = Backoff { max_interval: Some(ms(1000)), ..exact() };
    assert_eq!(waits(backoff, retry(300), 0.5, 3), [300, 600, 1000].map(ms));

    let backoff = Backoff { jitter: Jitter::Full, ..backoff };
    assert_eq!(waits(backoff, retry(300), 0.0, 3), [300, 500, 500].map(ms));
    assert_eq!(waits(backoff, retry(300), 1.0, 3), [600, 1000, 1000].map(ms));
}

#[test]
fn a_servers_time_applies_from_the_wait_after_it_came() {
    let now = Instant::now();
    let mut schedule = Schedule::new(exact(), now);
    assert_eq!(schedule.next_wait(now, Asked::default(), 0.0), Some(ms(1)));
    assert_eq!(schedule.next_wait(now, retry(50), 0.0), Some(ms(100)));
    schedule.reset(now);
    assert_eq!(schedule.next_wait(now, retry(50), 0.0), Some(ms(50)));
}

#[test]
fn no_server_can_ask_for_more_than_a_day_or_for_a_busy_loop() {
    let forever = Some(Duration::MAX);
    let asked = Asked { reconnection_time: forever, retry_after: None };
    assert_eq!(waits(exact(), asked, 1.0, 1), [RECONNECTION_TIME_MAX]);
    let asked = Asked { reconnection_time: None, retry_after: forever };
    assert_eq!(waits(exact(), asked, 1.0, 1), [RECONNECTION_TIME_MAX]);

    assert_eq!(waits(exact(), retry(0), 0.0, 4), [0, 2, 4, 8].map(ms));
}

#[test]
fn retry_after_is_a_floor_of_one_wait() {
    let now = Instant::now();
    let mut schedule = Schedule::new(exact(), now);
    let asked = Asked { retry_after: Some(ms(70)), ..Asked::default() };
    assert_eq!(schedule.next_wait(now, asked, 0.0), Some(ms(70)));
    assert_eq!(schedule.next_wait(now, Asked::default(), 0.0), Some(ms(2)));
}

#[test]
fn retries_are_counted_until_a_connection_proved_itself() {
    let now = Instant::now();
    let none = Asked::default();
    assert_eq!(Schedule::new(Backoff::never(), now).next_wait(now, none, 0.0), None);

    let mut schedule = Schedule::new(Backoff { max_retries: Some(2), ..exact() }, now);
    assert_eq!(schedule.next_wait(now, none, 0.0), Some(ms(1)));
    assert_eq!(schedule.next_wait(now, none, 0.0), Some(ms(2)));
    assert_eq!(schedule.next_wait(now, none, 0.0), None);
    schedule.reset(now);
    assert_eq!(schedule.next_wait(now, none, 0.0), Some(ms(1)));
}

#[test]
fn gives_up_where_the_next_wait_would_end_too_late() {
    let start = Instant::now();
    let backoff = Backoff { max_elapsed: Some(ms(10)), multiplier: 1.0, ..exact() };
    let mut schedule = Schedule::new(backoff, start);
    let none = Asked::default();
    assert_eq!(schedule.next_wait(start + ms(9), none, 0.0), Some(ms(1)));
    assert_eq!(schedule.next_wait(start + ms(10), none, 0.0), None);
    schedule.reset(start + ms(10));
    assert_eq!(schedule.next_wait(start + ms(10), none, 0.0), Some(ms(1)));
}

#[test]
fn endless_growth_ends_at_a_day() {
    let now = Instant::now();
    let mut schedule = Schedule::new(Backoff { multiplier: f64::MAX, ..exact() }, now);
    schedule.retries = u32::MAX;
    let wait = schedule.next_wait(now, Asked::default(), 0.0);
    assert_eq!(wait, Some(RECONNECTION_TIME_MAX));
}

#[test]
fn values_that_make_no_sense_are_named() {
    assert_eq!(Backoff::default().fault(), None);
    for multiplier in [0.0, 0.99, -1.0, f64::NAN, f64::INFINITY] {
        assert!(Backoff { multiplier, ..exact() }.fault().unwrap().contains("multiplier"));
    }
    for share in [-0.1, 1.1, f64::NAN] {
        let backoff = Backoff { jitter: Jitter::Fraction(share), ..exact() };
        assert!(backoff.fault().unwrap().contains("jitter"));
    }
}
