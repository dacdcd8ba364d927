//! Ctrl-C, or being told to end: what has been started is ended first, as after any run.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use tokio::{
    runtime::Builder,
    select,
    signal::unix::{SignalKind, signal},
};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Listens for both from now on.
///
/// # Errors
/// In words, when the system refuses.
pub(crate) fn listen() -> Result<(), String> {
    let fault = |error| format!("listening for signals: {error}");
    let runtime = Builder::new_current_thread().enable_io().build().map_err(fault)?;
    let context = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(fault)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(fault)?;
    drop(context);
    thread::spawn(move || {
        runtime.block_on(async {
            select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        });
        ASKED.store(true, Ordering::Relaxed);
    });
    Ok(())
}

/// Whether one of them has come.
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}
