//! Reading costs in proportion to the stream, however small its pieces: nothing is copied, or
//! scanned, over again. The input is repeated to a long stream, so that its squares would show.
//!
//! Copies show in what is allocated, which is counted. A scan over again shows in nothing but time:
//! libFuzzer's `-timeout` ends what takes hundreds of times as long as a linear reading.

#![no_main]

use std::alloc::System;

use fanfare_fuzz::Plan;
use libfuzzer_sys::fuzz_target;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes of a stream, at least.
const STREAM_BYTES: usize = 1 << 20;

fuzz_target!(|input: (Plan, &[u8])| {
    let (plan, part) = input;
    if part.is_empty() {
        return;
    }
    let stream = part.repeat(STREAM_BYTES.div_ceil(part.len()));
    let lines = stream.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count();

    let counted = Region::new(ALLOCATOR);
    let mut parser = plan.unbounded().parser();
    for mut piece in plan.pieces(&stream) {
        while parser.next(&mut piece).expect("no bound is in play").is_some() {}
    }
    _ = parser.finish();
    let cost = counted.change();

    // Six buffers that double, of text that may be three times as long as its bytes; and the text of
    // each line that is not UTF-8, on its way into one of them.
    let bytes_max = 16 * stream.len();
    assert!(cost.bytes_allocated <= bytes_max, "{cost:?} for {} bytes", stream.len());
    let times = cost.allocations + cost.reallocations;
    assert!(times <= 4 * lines + 256, "{cost:?} for {lines} lines");
});
