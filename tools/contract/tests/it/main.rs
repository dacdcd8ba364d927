//! The documented protocol of LaunchDarkly's harness, walked in its place: it serves the streams,
//! asks the service for clients, and takes their reports.

mod bad_input;
mod connections;
mod harness;
mod lines;
#[expect(dead_code, reason = "the client's own tests use all of it")]
#[path = "../../../../tests/it/harness/scripted/mod.rs"]
mod scripted;
