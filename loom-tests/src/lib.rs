//! Models of Fanfare's lock-free structures, run under [loom](https://docs.rs/loom), which tries
//! every order in which the threads' steps can interleave.
//!
//! The models are in `tests/`, a file for each structure; a test is named by what it proves. They
//! compile to nothing without the cfg:
//!
//! ```sh
//! RUSTFLAGS="--cfg fanfare_loom" cargo test --release --package fanfare-loom-tests
//! ```
