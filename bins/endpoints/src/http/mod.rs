//! An HTTP server for any browser or program, and an HTTP client for any server.
//!
//! Both stand on hyper. It runs on tokio, on threads of its own; nothing of that reaches the crates
//! below.

pub mod client;
pub mod command;
mod digest_field;
mod disposition;
mod file_body;
mod names;
pub mod pace;
mod read_ahead;
pub mod server;
pub mod site;

use std::io;

/// The port of the server unless told otherwise.
pub const PORT: u16 = 12345;

/// Does what waits for the disk on a thread for that.
async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(act).await {
        Ok(result) => result,
        // Let a panic be one, or else the server is ending.
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(io::Error::other(error)),
        },
    }
}
