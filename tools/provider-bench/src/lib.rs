//! One benchmark for every implementation of `fanfare::Provider`, so that they compare.
//!
//! [`suite`] measures time with criterion; [`Memory::measure`] counts what a subscriber costs, for a
//! program that counts its allocations. `benches/` runs both on the providers that Fanfare ships:
//!
//! ```sh
//! cargo bench -p fanfare-provider-bench
//! ```
//!
//! A benchmark of one's own provider is a bench target with one line:
//!
//! ```no_run
//! use fanfare::provider::BroadcastProvider;
//!
//! let mut criterion = criterion::Criterion::default().configure_from_args();
//! fanfare_provider_bench::suite(&mut criterion, "mine", || BroadcastProvider::new(1024));
//! criterion.final_summary();
//! ```

mod memory;
mod suite;
mod tasks;

pub use self::{memory::Memory, suite::suite};

use fanfare::Message;

/// A message with 128 B of data, the last byte of which says whether it is the last of its round.
fn message(last: bool) -> Message {
    let mut data = "x".repeat(127);
    data.push(if last { LAST } else { 'x' });
    Message::new(data)
}

const LAST: char = '.';

/// How an item ends that holds the last message of a round.
const LAST_END: &[u8] = b".\n\n";
