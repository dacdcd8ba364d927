//! What the workers have counted, added up: over the whole run, over the part that is under way, and slice
//! by slice.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::histogram::{self, Percentiles};
use crate::report::{FanOut, Point};
use crate::server::Sample;
use crate::worker::{EventShape, Slice, Tally, Watch};

/// A slice that is so many behind the newest gets nothing more.
const OPEN_SLOTS: u64 = 3;
/// Events of which not all workers have told; beyond it the oldest is taken as it stands.
const OPEN_SHAPES_MAX: usize = 100_000;

/// A part of a run, or all of it.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) from_ns: u64,
    pub(crate) to_ns: u64,
    pub(crate) tally: Tally,
    pub(crate) watch: Watch,
    /// CPU time of each worker.
    pub(crate) cpu_ns: Vec<u64>,
}

/// All parts.
#[derive(Debug)]
pub(super) struct Book {
    slice_ns: u64,
    part: Part,
    slots: BTreeMap<u64, Slot>,
    points: Vec<Point>,
    /// Latency by slice, for the log of histograms.
    pub(super) latencies: Vec<(f64, f64, Histogram<u64>)>,
    keeps_latencies: bool,
    /// Streams that stand, by worker.
    up: Vec<u32>,
    shapes: BTreeMap<u64, (EventShape, usize)>,
    fan_out: Shapes,
    written: u64,
}

/// What is known of one slice of time.
#[derive(Debug)]
struct Slot {
    from_ns: u64,
    to_ns: u64,
    up: u64,
    published: u64,
    delivered: u64,
    bytes: u64,
    latency: Histogram<u64>,
    cpu_ns: u64,
    lag_us: u64,
}

/// Distributions over the events that were followed, in microseconds.
#[derive(Debug)]
struct Shapes {
    first: Histogram<u64>,
    median: Histogram<u64>,
    last: Histogram<u64>,
    spread: Histogram<u64>,
}

impl Part {
    /// How long it was.
    pub(crate) fn seconds(&self) -> f64 {
        self.to_ns.saturating_sub(self.from_ns) as f64 / 1e9
    }

    fn add(&mut self, slice: &Slice) {
        self.tally.add(&slice.tally);
        self.watch.add(&slice.watch);
        let worker = slice.worker as usize;
        if self.cpu_ns.len() <= worker {
            self.cpu_ns.resize(worker + 1, 0);
        }
        self.cpu_ns[worker] += slice.watch.cpu_ns;
        self.to_ns = self.to_ns.max(slice.to_ns);
    }

    /// Adds the part that follows.
    pub(crate) fn join(&mut self, next: &Self) {
        self.tally.add(&next.tally);
        self.watch.add(&next.watch);
        let workers = self.cpu_ns.len().max(next.cpu_ns.len());
        self.cpu_ns.resize(workers, 0);
        for (own, other) in self.cpu_ns.iter_mut().zip(&next.cpu_ns) {
            *own += other;
        }
        self.to_ns = self.to_ns.max(next.to_ns);
    }
}

impl Book {
    /// Nothing counted. Histograms of each slice are kept where they are to be written.
    pub(super) fn new(slice_ns: u64, workers: usize, keeps_latencies: bool) -> Self {
        Self {
            slice_ns,
            part: Part::default(),
            slots: BTreeMap::new(),
            points: Vec::new(),
            latencies: Vec::new(),
            keeps_latencies,
            up: vec![0; workers],
            shapes: BTreeMap::new(),
            fan_out: Shapes::default(),
            written: 0,
        }
    }

    /// Takes in a slice.
    pub(super) fn add(&mut self, slice: Slice) {
        self.part.add(&slice);
        self.up[slice.worker as usize] = slice.up;
        let up = self.up.iter().copied().map(u64::from).sum();
        let index = slice.to_ns.saturating_sub(1) / self.slice_ns;
        let slot = self.slots.entry(index).or_insert_with(|| Slot::new(slice.from_ns));
        slot.add(&slice, up);
        for shape in slice.shapes {
            self.note_shape(shape);
        }
        self.close_slots(index.saturating_sub(OPEN_SLOTS));
    }

    /// So many messages have been written by now.
    pub(super) fn note_written(&mut self, now_ns: u64, written: u64) {
        let new = written - self.written;
        self.written = written;
        if new > 0 {
            let slot = self.slots.entry(now_ns / self.slice_ns);
            slot.or_insert_with(|| Slot::new(now_ns)).published += new;
        }
    }

    /// Ends the part that is under way, and begins the next.
    pub(super) fn turn(&mut self, now_ns: u64) -> Part {
        let next = Part { from_ns: now_ns, to_ns: now_ns, ..Part::default() };
        std::mem::replace(&mut self.part, next)
    }

    /// What was counted in the newest whole slice.
    pub(super) fn newest(&self) -> Option<&Point> {
        self.points.last()
    }

    /// The series and the shape of events. Nothing more comes.
    pub(super) fn close(
        &mut self,
        samples: &[Sample],
        one_in: u64,
    ) -> (Vec<Point>, Option<FanOut>) {
        self.close_slots(u64::MAX);
        while let Some((_, (shape, _))) = self.shapes.pop_first() {
            self.fan_out.add(&shape);
        }
        let mut points = std::mem::take(&mut self.points);
        add_server(&mut points, samples);
        (points, self.fan_out.told(one_in))
    }

    fn close_slots(&mut self, before: u64) {
        while let Some(slot) = self.slots.first_entry().filter(|slot| *slot.key() < before) {
            let slot = slot.remove();
            // Without a worker's slice it is only the publisher's.
            if slot.to_ns > slot.from_ns {
                self.points.push(slot.point());
                if self.keeps_latencies {
                    let (from, to) = (slot.from_ns as f64 / 1e9, slot.to_ns as f64 / 1e9);
                    self.latencies.push((from, to, slot.latency));
                }
            }
        }
    }

    fn note_shape(&mut self, shape: EventShape) {
        let workers = self.up.len();
        let (known, parts) =
            self.shapes.entry(shape.sequence).or_insert_with(|| (shape.clone(), 0));
        if *parts > 0 {
            known.merge(&shape);
        }
        *parts += 1;
        if *parts == workers
            && let Some((whole, _)) = self.shapes.remove(&shape.sequence)
        {
            self.fan_out.add(&whole);
        }
        if self.shapes.len() > OPEN_SHAPES_MAX
            && let Some((_, (oldest, _))) = self.shapes.pop_first()
        {
            self.fan_out.add(&oldest);
        }
    }
}

impl Slot {
    fn new(from_ns: u64) -> Self {
        Self {
            from_ns,
            to_ns: from_ns,
            up: 0,
            published: 0,
            delivered: 0,
            bytes: 0,
            latency: histogram::empty(),
            cpu_ns: 0,
            lag_us: 0,
        }
    }

    fn add(&mut self, slice: &Slice, up: u64) {
        self.from_ns = self.from_ns.min(slice.from_ns);
        self.to_ns = self.to_ns.max(slice.to_ns);
        self.up = up;
        let tally = &slice.tally;
        self.delivered += tally.delivered + tally.delivered_to_slow + tally.delivered_to_passing;
        self.bytes += tally.bytes;
        self.latency += &tally.latency;
        self.cpu_ns += slice.watch.cpu_ns;
        self.lag_us = self.lag_us.max(slice.watch.loop_lag.max());
    }

    fn point(&self) -> Point {
        let seconds = (self.to_ns - self.from_ns) as f64 / 1e9;
        let latency = Percentiles::of(&self.latency);
        Point {
            at_seconds: self.to_ns as f64 / 1e9,
            connected: self.up,
            published_per_second: self.published as f64 / seconds,
            delivered_per_second: self.delivered as f64 / seconds,
            bytes_per_second: self.bytes as f64 / seconds,
            p50_ms: latency.p50,
            p99_ms: latency.p99,
            max_ms: latency.max,
            tester_cpu_cores: self.cpu_ns as f64 / 1e9 / seconds,
            tester_lag_ms: self.lag_us as f64 / 1e3,
            server_cpu_cores: None,
            server_pss_bytes: None,
        }
    }
}

/// To each point the sample nearest to it, and the CPU time since the sample before.
fn add_server(points: &mut [Point], samples: &[Sample]) {
    for point in points {
        let at_ns = (point.at_seconds * 1e9) as u64;
        let after = samples.partition_point(|sample| sample.at_ns <= at_ns);
        let Some(sample) = after.checked_sub(1).map(|index| &samples[index]) else { continue };
        point.server_pss_bytes = Some(sample.usage.pss_bytes);
        let Some(before) = after.checked_sub(2).map(|index| &samples[index]) else { continue };
        let cpu = sample.usage.cpu.saturating_sub(before.usage.cpu).as_secs_f64();
        let seconds = (sample.at_ns - before.at_ns) as f64 / 1e9;
        point.server_cpu_cores = (seconds > 0.0).then(|| cpu / seconds);
    }
}

impl Default for Shapes {
    fn default() -> Self {
        let empty = histogram::empty;
        Self { first: empty(), median: empty(), last: empty(), spread: empty() }
    }
}

impl Shapes {
    fn add(&mut self, shape: &EventShape) {
        self.first.saturating_record(shape.first_us);
        self.median.saturating_record(shape.median_us());
        self.last.saturating_record(shape.last_us);
        self.spread.saturating_record(shape.last_us - shape.first_us);
    }

    fn told(&self, one_in: u64) -> Option<FanOut> {
        (!self.first.is_empty()).then(|| FanOut {
            events: self.first.len(),
            one_in,
            first_ms: Percentiles::of(&self.first),
            median_ms: Percentiles::of(&self.median),
            last_ms: Percentiles::of(&self.last),
            spread_ms: Percentiles::of(&self.spread),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::server::Usage;

    const SECOND: u64 = 1_000_000_000;

    fn slice(worker: u32, from_ns: u64, to_ns: u64, latencies_us: &[u64]) -> Slice {
        let mut tally = Tally::default();
        for &us in latencies_us {
            tally.latency.saturating_record(us);
            tally.delivered += 1;
        }
        let watch = Watch { cpu_ns: SECOND / 10, ..Watch::default() };
        Slice { worker, from_ns, to_ns, up: 5, tally, watch, shapes: Vec::new() }
    }

    #[test]
    fn what_workers_saw_in_the_same_slice_is_one_point() {
        let mut book = Book::new(SECOND, 2, true);
        book.note_written(SECOND / 2, 7);
        for worker in 0..2 {
            book.add(slice(worker, 0, SECOND, &[1_000, 3_000]));
            book.add(slice(worker, SECOND, 2 * SECOND - 1, &[9_000]));
        }
        let part = book.turn(2 * SECOND);
        assert_eq!((part.tally.delivered, part.cpu_ns), (6, vec![SECOND / 5; 2]));
        assert_eq!(book.turn(2 * SECOND).tally.delivered, 0);
        let (points, fan_out) = book.close(&[], 1);
        assert!(fan_out.is_none());
        assert_eq!(points.len(), 2);
        assert_eq!((points[0].connected, points[0].published_per_second), (10, 7.0));
        assert_eq!((points[0].delivered_per_second, points[0].tester_cpu_cores), (4.0, 0.2));
        assert!((points[1].p50_ms - 9.0).abs() < 0.1, "{points:?}");
        assert_eq!(book.latencies.len(), 2);
    }

    #[test]
    fn a_point_gets_the_server_as_it_was_seen_last() {
        let sample = |at_ns, pss_bytes, cpu| Sample {
            at_ns,
            usage: Usage { pss_bytes, cpu: Duration::from_millis(cpu), ..Usage::default() },
        };
        let mut book = Book::new(SECOND, 1, false);
        book.add(slice(0, 0, SECOND, &[]));
        book.add(slice(0, SECOND, 2 * SECOND, &[]));
        let (points, _) =
            book.close(&[sample(SECOND / 2, 10, 0), sample(3 * SECOND / 2, 20, 500)], 1);
        assert_eq!((points[0].server_pss_bytes, points[0].server_cpu_cores), (Some(10), None));
        assert_eq!((points[1].server_pss_bytes, points[1].server_cpu_cores), (Some(20), Some(0.5)));
    }
}
