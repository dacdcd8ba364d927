//! The memory that a subscriber costs with the providers which Fanfare ships, as asked of the allocator.

use std::alloc::System;

use fanfare::{
    LocalProvider, LogOptions, Provider,
    provider::{BroadcastProvider, SerialProvider},
};
use fanfare_provider_bench::Memory;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

// In a program of its own, so that the counting slows down no measurement of time.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    println!("bytes per subscriber: subscribed, waiting, waiting after 100 events of 128 B");
    row("local", &LocalProvider::new(LogOptions::default()));
    row("broadcast", &BroadcastProvider::new(1024));
    row("serial", &SerialProvider::new(1024));
}

fn row(name: &str, provider: &impl Provider) {
    println!("{name:<10} {}", Memory::measure(provider, in_use));
}

fn in_use() -> usize {
    let stats = ALLOCATOR.stats();
    // Reallocations are in both.
    stats.bytes_allocated - stats.bytes_deallocated
}
