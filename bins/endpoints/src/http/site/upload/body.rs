//! The body of an upload as it comes, as long as it comes fast enough.

#![expect(clippy::disallowed_methods, reason = "hyper runs on tokio, and so do its waits")]

use super::save::Pieces;
use crate::http::pace::Pace;
use crate::http::server::Context;
use crate::http::site::refusal::Refusal;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::{Body, Frame, Incoming};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll};
use tokio::time::Sleep;

/// A body that ends with an error when its sender is too slow.
pub(super) struct PacedBody {
    incoming: Incoming,
    context: Arc<Context>,
    pace: Pace,
    timer: Option<Pin<Box<Sleep>>>,
}

/// The reason why no more comes.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the upload came too slowly")]
    TooSlow,
    #[error("the upload broke off: {0}")]
    Off(#[from] hyper::Error),
}

impl PacedBody {
    pub(super) fn new(incoming: Incoming, context: Arc<Context>) -> Self {
        let pace = Pace::new(context.limits.least);
        Self { incoming, context, pace, timer: None }
    }

    /// Returns true if the sender has been too slow, now that it is waited for.
    fn poll_patience(&mut self, task: &mut Task<'_>) -> Poll<Broken> {
        let now = self.context.clock.now();
        self.pace.handle_wait(now);
        while let Some(deadline) = self.pace.deadline() {
            if now < deadline {
                let mut timer = Box::pin(tokio::time::sleep(deadline.since(now)));
                if timer.as_mut().poll(task).is_pending() {
                    self.timer = Some(timer);
                    return Poll::Pending;
                }
            }
            if self.pace.is_too_slow(now) {
                self.context.counts.slow_bodies.add(1);
                return Poll::Ready(Broken::TooSlow);
            }
        }
        Poll::Pending
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match Pin::new(&mut self.incoming).poll_frame(task) {
            Poll::Ready(frame) => {
                let bytes = frame
                    .as_ref()
                    .and_then(|frame| frame.as_ref().ok()?.data_ref())
                    .map_or(0, Bytes::len);
                let now = self.context.clock.now();
                self.pace.handle_bytes(now, bytes as u64);
                self.timer = None;
                Poll::Ready(frame.map(|frame| frame.map_err(Broken::Off)))
            }
            Poll::Pending => self.poll_patience(task).map(|broken| Some(Err(broken))),
        }
    }
}

impl Pieces for PacedBody {
    async fn piece(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            match self.frame().await {
                None => return Ok(None),
                // Trailers are no part of the file.
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some(piece));
                    }
                }
                Some(Err(broken)) => return Err(broken.into()),
            }
        }
    }
}

impl From<Broken> for Refusal {
    fn from(broken: Broken) -> Self {
        let status = match broken {
            Broken::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Broken::Off(_) => StatusCode::BAD_REQUEST,
        };
        Self::new(status, broken.to_string())
    }
}
