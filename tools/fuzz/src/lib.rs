//! What the targets share: a plan of how to read a stream, and what such a reading gave.
//!
//! A target is a file of `targets/`, named by what it proves. `cargo ci fuzz` runs each of them for
//! a while, from the seeds of `seeds/` and from the cases of `tests/conformance/`.

mod answers;
mod plan;
mod reading;

pub use self::answers::{Answer, answers, paused_runtime};
pub use self::plan::{Pieces, Plan};
pub use self::reading::{Item, Reading, read};
