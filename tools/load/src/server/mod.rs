//! The server under test as processes: one of ours that is started here, and what any of them costs.

mod cost;
mod process;
mod sampler;

pub(crate) use self::cost::{Usage, kernel_bytes};
pub(crate) use self::process::ServerProcess;
pub(crate) use self::sampler::{Sample, Sampler};
