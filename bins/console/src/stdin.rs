//! Stdin as something an event loop can wait for, be it a terminal, a pipe or a file.
//!
//! A thread copies stdin into a pipe, which bounds what is read ahead; a file could not be waited
//! for otherwise.

use mio::unix::pipe;
use std::io;

/// Returns the readable end of a pipe through which all of stdin comes. The thread behind it ends
/// with stdin, with the receiver, or with the process.
///
/// # Errors
/// When the system has no pipe or thread left.
pub fn open() -> io::Result<pipe::Receiver> {
    let (mut sender, receiver) = pipe::new()?;
    sender.set_nonblocking(false)?;
    let copy = move || {
        if let Err(error) = io::copy(&mut io::stdin().lock(), &mut sender)
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            log::warn!("cannot read stdin: {error}");
        }
    };
    std::thread::Builder::new().name("stdin".to_owned()).spawn(copy)?;
    Ok(receiver)
}
