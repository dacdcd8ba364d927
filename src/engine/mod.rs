//! How do bytes move? Cores: one thread each, with its own listener, driver and connections.
//!
//! A core answers subscriptions and fans out; whatever else comes to its port it gives away with
//! the bytes it has read. It runs no user code and takes no lock on its hot path. Who may subscribe
//! to what is decided by an [`Admission`] from above; the engine knows no path and no token.

mod admission;
#[cfg(test)]
mod admission_tests;
mod age;
mod catch_up;
mod commands;
mod connection;
mod core;
mod counters;
mod drain;
mod driver;
mod end_lines;
mod fan_out;
mod group;
mod heartbeat;
mod inspect;
mod intake;
#[cfg(test)]
mod lag_tests;
mod lease;
mod listener;
mod owed;
mod rest;
#[cfg(test)]
mod retune_tests;
mod round;
#[cfg(test)]
mod scripted_tests;
#[cfg(test)]
mod simulation;
mod spin;
mod start;
#[cfg(test)]
mod tests;
mod timers;
mod tuning;

pub use self::{
    admission::{Admission, Admitted, Answer, Asked, HandedOver, Question, Ticket, Verdict},
    connection::EndReason,
    counters::{CoreCounters, Counter, Deliveries, Discard, Latencies},
    inspect::{
        ConnectionId, ConnectionInfo, ConnectionPage, ConnectionState, Cores, NoConnectionId,
    },
    start::{DriverChoice, DriverKind, Engine, EngineOptions, StartError},
    tuning::{SharedTuning, Tuning},
};
