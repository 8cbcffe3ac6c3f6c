//! The space bar at a terminal, without Enter.

use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcgetpgrp, tcsetattr,
};
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

/// How the terminal was set before, while keys are read.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Keeps keys being read; dropping it gives the terminal back as it was.
#[derive(Debug)]
pub struct Keys(());

/// Calls `act` whenever space is pressed, if stdin is a terminal and ours to read; otherwise does
/// nothing.
pub fn on_space(act: impl Fn() + Send + 'static) -> Option<Keys> {
    let stdin = io::stdin();
    // A program in the background that touches its terminal is stopped.
    if !isatty(&stdin) || tcgetpgrp(&stdin).ok() != Some(getpgrp()) {
        return None;
    }
    let before = tcgetattr(&stdin).ok()?;
    let mut keys = before.clone();
    // Keys come at once and are not echoed; Ctrl-C still sends its signal.
    keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
    tcsetattr(&stdin, OptionalActions::Now, &keys).ok()?;
    let read = move || {
        let keys = stdin.lock().bytes().map_while(Result::ok);
        keys.filter(|key| *key == b' ').for_each(|_| act());
    };
    std::thread::Builder::new().name("keys".into()).spawn(read).ok()?;
    Some(Keys(()))
}

/// Gives the terminal back as it was.
pub fn restore() {
    if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        restore();
    }
}
