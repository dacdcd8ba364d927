//! The tester, run as people run it, against a server that misbehaves by plan and against ours.

mod audits;
mod mock;
mod refusals;
mod started;
