//! Signals as a call on a thread of their own.

use crate::stop::Stop;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Calls `act` with each of `signals` that arrives, for the rest of the process.
///
/// # Errors
/// When a signal cannot be caught, or no thread can be started.
pub fn on(signals: &[i32], mut act: impl FnMut(i32) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new(signals)?;
    let run = move || signals.forever().for_each(&mut act);
    std::thread::Builder::new().name("signals".to_owned()).spawn(run)?;
    Ok(())
}

/// Returns a [`Stop`] that SIGINT and SIGTERM request. A second signal ends the process at once,
/// for a drain that hangs.
///
/// # Errors
/// When the signals cannot be caught.
pub fn stop() -> io::Result<Stop> {
    let stop = Stop::new();
    let armed = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Registered first, so that it looks at the flag before the same signal sets it.
        signal_hook::flag::register_conditional_default(signal, armed.clone())?;
        signal_hook::flag::register(signal, armed.clone())?;
    }
    let requested = stop.clone();
    on(&[SIGINT, SIGTERM], move |_| requested.request())?;
    Ok(stop)
}
