//! A line at the foot of the terminal that is drawn anew from time to time, and steps aside for
//! whatever else the program prints.
//!
//! All output of this crate goes through [`aside`], so that the line is never mixed with other
//! lines. It is shown only while the program is in the foreground of a terminal that both stdout
//! and stderr are.

use crate::terminal::columns_of;
use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;
use std::io::{self, IsTerminal as _, Stderr, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// Goes to the beginning of the line and empties it.
const EMPTY: &str = "\r\u{1b}[2K";

/// The line that is on the screen.
static SHOWN: Mutex<Option<String>> = Mutex::new(None);

/// True while there is a [`StatusLine`]. Without one nothing here is locked: a reader of stdout
/// that stands still must not hold up what goes to stderr.
static IN_USE: AtomicBool = AtomicBool::new(false);

/// The right to show a line; dropping it takes the line away.
#[derive(Debug)]
pub struct StatusLine(());

impl StatusLine {
    /// Returns the line, which is empty so far; `None` where none can be shown, or there is one
    /// already.
    pub fn new() -> Option<Self> {
        room()?;
        let is_first = !IN_USE.swap(true, Ordering::SeqCst);
        is_first.then_some(Self(()))
    }

    /// Shows what `text` makes of the number of columns there are, in place of what is shown. It
    /// has no control characters.
    pub fn show(&self, text: impl FnOnce(usize) -> String) {
        let Some(columns) = room() else { return };
        let text = text(columns);
        let mut shown = lock();
        draw(&format!("{EMPTY}{text}"));
        *shown = Some(text);
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        clear();
        IN_USE.store(false, Ordering::SeqCst);
    }
}

/// Returns how many columns a status line may take; `None` where none can be shown: without a
/// terminal, on one that cannot go back in a line, and in its background.
fn room() -> Option<usize> {
    let stderr = io::stderr();
    if !stderr.is_terminal() || !io::stdout().is_terminal() || !is_ours(&stderr) {
        return None;
    }
    if std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb") {
        return None;
    }
    // In the last column some terminals begin a new line.
    columns_of(&stderr).map(|columns| columns.saturating_sub(1))
}

/// Takes the line away until it is shown anew.
pub fn clear() {
    let shown = match SHOWN.try_lock() {
        Ok(shown) => Some(shown),
        Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
        // Whoever holds it may stand still on a terminal that does; the program must end.
        Err(TryLockError::WouldBlock) => None,
    };
    if shown.is_some_and(|mut shown| shown.take().is_some()) {
        draw(EMPTY);
    }
}

/// Takes the line away while `write` prints something else.
pub fn aside<T>(write: impl FnOnce() -> T) -> T {
    if !IN_USE.load(Ordering::SeqCst) {
        return write();
    }
    let shown = lock();
    let Some(text) = shown.as_deref() else { return write() };
    draw(EMPTY);
    let written = write();
    // In the background the screen is the shell's.
    if is_ours(&io::stderr()) {
        draw(text);
    }
    written
}

fn lock() -> MutexGuard<'static, Option<String>> {
    // A text is whole whatever a panicking holder did.
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_ours(stderr: &Stderr) -> bool {
    tcgetpgrp(stderr).ok() == Some(getpgrp())
}

fn draw(text: &str) {
    // In one write; a terminal that has gone is no error of ours.
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}
