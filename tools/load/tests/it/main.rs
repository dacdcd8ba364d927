//! The tester, run as people run it, against a server that misbehaves by plan.

mod audits;
mod mock;
mod refusals;
