//! The tester, run as people run it, against a server that misbehaves by plan and against ours.

mod acts;
mod audits;
mod mock;
mod page;
mod peers;
mod presets;
mod recorded;
mod refusals;
mod scenarios;
mod started;
