//! A look at whether a client still waits, for answers that take their time.

use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::{Context as Task, Poll};
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

/// The client's side of a connection, as seen from an answer that is being made.
#[derive(Clone, Debug)]
pub(in crate::http) struct PeerWatch(Weak<TcpStream>);

impl PeerWatch {
    pub(super) fn new(stream: &Arc<TcpStream>) -> Self {
        Self(Arc::downgrade(stream))
    }

    /// Waits until the client has ended its half, or is gone. What it has sent besides hides its
    /// end, so there must be another bound on the wait.
    ///
    /// To be awaited in the connection's own task: a socket wakes one reader.
    pub(in crate::http) async fn ended(&self) {
        poll_fn(|task| self.poll_ended(task)).await;
    }

    fn poll_ended(&self, task: &mut Task<'_>) -> Poll<()> {
        let Some(stream) = self.0.upgrade() else { return Poll::Ready(()) };
        let mut byte = [0];
        match stream.poll_peek(task, &mut ReadBuf::new(&mut byte)) {
            Poll::Ready(Ok(1..)) | Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(()),
        }
    }
}
