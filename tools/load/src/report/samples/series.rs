//! Points over time: a course, with noise that is the same every time.

use super::{MIB, Point};

/// `count` points, `every` seconds apart, along `course` (of a share of the run from 0 to 1).
pub(super) fn of(count: u32, every: f64, seed: u64, course: fn(f64) -> Point) -> Vec<Point> {
    let mut noise = Noise(seed);
    (1..=count)
        .map(|at| {
            let point = course(f64::from(at) / f64::from(count));
            let times = noise.around(0.15);
            let rates = noise.around(0.01);
            Point {
                at_seconds: every * f64::from(at),
                published_per_second: rounded(point.published_per_second * rates),
                delivered_per_second: rounded(point.delivered_per_second * rates),
                bytes_per_second: rounded(point.delivered_per_second * rates * 170.0),
                p50_ms: rounded(point.p50_ms * times),
                p99_ms: rounded(point.p99_ms * times * noise.around(0.3)),
                max_ms: rounded(point.max_ms * times * noise.around(0.6)),
                tester_cpu_cores: rounded(point.tester_cpu_cores * noise.around(0.05)),
                tester_lag_ms: rounded(point.tester_lag_ms * noise.around(0.5)),
                server_cpu_cores: point
                    .server_cpu_cores
                    .map(|cores| rounded(cores * noise.around(0.05))),
                server_pss_bytes: point
                    .server_pss_bytes
                    .map(|bytes| (bytes as f64 * noise.around(0.002)) as u64),
                ..point
            }
        })
        .collect()
}

/// To a thousandth: the documents are read by people too.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// A load that stays the same.
pub(super) fn level(_: f64) -> Point {
    Point {
        connected: 1_000,
        published_per_second: 1_000.0,
        delivered_per_second: 1e6,
        p50_ms: 1.2,
        p99_ms: 3.0,
        max_ms: 7.0,
        tester_cpu_cores: 0.41,
        tester_lag_ms: 0.2,
        server_cpu_cores: Some(0.52),
        server_pss_bytes: Some((42.0 * MIB) as u64),
        ..Point::default()
    }
}

/// Twice the load in every sixth of the run.
pub(super) fn climbing(share: f64) -> Point {
    let step = (6.0 * share).ceil() - 1.0;
    let times = 2.0_f64.powf(step);
    let slower = if step < 4.0 { 1.0 + 0.3 * step } else { 10.0_f64.powf(step - 2.0) };
    Point {
        published_per_second: 1_000.0 * times,
        delivered_per_second: 1e5 * times,
        p50_ms: 0.8 * slower,
        p99_ms: 2.0 * slower,
        max_ms: 5.0 * slower,
        tester_cpu_cores: (0.06 * times).min(1.1),
        server_cpu_cores: Some((0.07 * times).min(1.0)),
        ..level(share)
    }
}

/// Memory that grows by 5 %.
pub(super) fn growing(share: f64) -> Point {
    Point { server_pss_bytes: Some(((40.0 + 2.1 * share) * MIB) as u64), ..level(share) }
}

/// Nobody connected for a slice, and all to catch up in the next.
pub(super) fn interrupted(share: f64) -> Point {
    let usual = level(share);
    match (30.0 * share).round() as u32 {
        11 => Point { connected: 0, delivered_per_second: 0.0, ..usual },
        12 => Point {
            connected: 640,
            delivered_per_second: 1.7e6,
            p50_ms: 420.0,
            p99_ms: 980.0,
            max_ms: 1_040.0,
            ..usual
        },
        _ => usual,
    }
}

/// A linear congruential generator (Knuth's MMIX): any sequence will do, if it is always the same.
struct Noise(u64);

impl Noise {
    /// A factor around 1, at most `width` away.
    fn around(&mut self, width: f64) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = (self.0 >> 11) as f64 / (1_u64 << 53) as f64;
        1.0 + width * (2.0 * share - 1.0)
    }
}
