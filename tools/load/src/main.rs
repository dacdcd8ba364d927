//! The load tester.
#![forbid(unsafe_code)]

mod audit;
mod framing;
mod payload;
mod proven;
mod scanner;
mod stream;

fn main() {}
