//! Fanfare from outside: the real binary, real sockets, and every behaviour over both drivers.
//!
//! A test is a function that takes a [`harness::Driver`]; `both_drivers!` makes two named tests of
//! it, `…::uring::…` and `…::epoll::…`. Nothing here knows the inside of the server: what these
//! tests hold to is what ARCHITECTURE.md and the README promise to a peer.
//!
//! The tests of the client are `client_…`: against servers that follow a script, right or wrong, and
//! against real ones.

#[macro_use]
mod harness;

mod access;
mod admin;
mod bad_input;
mod broadcast;
mod browser;
mod client_bad_input;
mod client_conformance;
mod client_real;
mod config;
mod doctor;
mod examples;
mod facade;
mod http_conformance;
mod http_safety;
mod metrics;
mod one_port;
mod patterns;
mod presence;
mod process;
mod provider;
mod proxies;
mod publish;
mod readers;
mod replay;
mod scale;
mod scripted_server;
mod service;
mod shell;
mod slow;
