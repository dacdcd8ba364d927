//! Whole cores over simulated sockets and a virtual clock: one seed decides everything that happens.
//!
//! A [`Plan`] drawn from the seed says what kind of world it is, a [`World`] makes things happen in it, and
//! the [`oracle`](oracle::Oracle) knows what everyone must have got. It never asks the Log what was
//! published: that is a list of its own.
//!
//! ```sh
//! cargo test --lib simulation                           # some hundred seeds
//! FANFARE_SIM_SEEDS=10000 cargo test --lib --profile sim simulation
//! FANFARE_SIM_SEED=17 cargo test --lib simulation -- --nocapture   # one, with all that happens
//! ```

mod admission;
mod oracle;
mod peer;
mod plan;
mod publisher;
mod selection;
mod stream;
mod subscription;
mod tests;
mod world;

use plan::Plan;
use world::World;
