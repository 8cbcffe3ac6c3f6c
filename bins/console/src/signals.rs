//! Signals as a call on a thread of their own.

use crate::stop::Stop;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
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

/// Returns the signals that ask a program to end: SIGINT, SIGTERM and, unless the program was
/// started to ignore it as `nohup` does, SIGHUP.
pub fn ending() -> Vec<i32> {
    let mut signals = vec![SIGINT, SIGTERM];
    if !is_ignored(SIGHUP) {
        signals.push(SIGHUP);
    }
    signals
}

/// Returns true if the signal is ignored, as far as the system tells.
pub(crate) fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Bit 0 stands for signal 1.
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Returns a [`Stop`] that SIGINT, SIGTERM and SIGHUP request. A second SIGINT or SIGTERM ends the
/// process at once, for a drain that hangs; a terminal that goes away may send SIGHUP twice.
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
    on(&ending(), move |_| requested.request())?;
    Ok(stop)
}
