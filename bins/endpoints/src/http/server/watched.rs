//! A connection's bytes, with an eye on the clock: a peer that asks nothing, asks too slowly, or
//! does not read, is let go.

#![expect(clippy::disallowed_methods, reason = "hyper runs on tokio, and so do its waits")]

use super::handler::Context;
use crate::http::pace::Pace;
use jostle_common::time::Instant;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as Task, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// The progress of a connection's requests; shared by its bytes and its answers.
#[derive(Debug, Default)]
pub(super) struct Activity {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Activity {
    /// Notes that a request's head was read.
    pub(super) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that its answer is complete, or dropped.
    pub(super) fn end(&self) {
        self.ended.fetch_add(1, Ordering::Release);
    }

    /// Returns the number of answers that are complete, if none is being made.
    fn between(&self) -> Option<u64> {
        let ended = self.ended.load(Ordering::Acquire);
        (self.begun.load(Ordering::Relaxed) == ended).then_some(ended)
    }
}

/// The reason why a connection was let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// No request came.
    Idle,
    /// A request's head came too slowly.
    Head,
    /// The answer was not read.
    Reader,
}

/// A TCP stream that ends when its peer takes too long.
pub(super) struct WatchedConnection {
    stream: TcpStream,
    context: Arc<Context>,
    course: Arc<Activity>,
    /// The number of answers after which this wait for a request began, the time of its beginning,
    /// and the time at which its first byte came.
    waiting: Option<(u64, Instant, Option<Instant>)>,
    reader: Pace,
    timer: Option<Pin<Box<Sleep>>>,
    expired: Option<Expiry>,
}

impl WatchedConnection {
    pub(super) fn new(stream: TcpStream, context: Arc<Context>, course: Arc<Activity>) -> Self {
        let reader = Pace::new(context.limits.least);
        Self { stream, context, course, waiting: None, reader, timer: None, expired: None }
    }

    /// Returns the reason why it was let go, if it was.
    pub(super) const fn expired(&self) -> Option<Expiry> {
        self.expired
    }

    /// Returns the stream.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Returns ready when `deadline` is over; wakes the task then.
    fn poll_deadline(&mut self, task: &mut Task<'_>, now: Instant, deadline: Instant) -> Poll<()> {
        if deadline <= now {
            return Poll::Ready(());
        }
        let at = tokio::time::Instant::now() + deadline.since(now);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        // Setting it again on every poll would cost more than waking early now and then.
        if timer.is_elapsed() || timer.deadline() > at + Duration::from_millis(1) {
            timer.as_mut().reset(at);
        }
        if timer.as_mut().poll(task).is_pending() {
            return Poll::Pending;
        }
        // It was set for something earlier: now for this.
        timer.as_mut().reset(at);
        timer.as_mut().poll(task)
    }

    /// Waits on, since no bytes have come. The deadline depends on what is waited for.
    fn poll_patience(&mut self, task: &mut Task<'_>) -> Poll<Expiry> {
        // While an answer is made, the answer watches the body and the writing side its reader.
        let Some(answers) = self.course.between() else {
            self.waiting = None;
            return Poll::Pending;
        };
        let now = self.context.clock.now();
        let limits = self.context.limits;
        let (deadline, expiry) = match self.waiting {
            Some((after, _, Some(first))) if after == answers => {
                (first + limits.head_time, Expiry::Head)
            }
            Some((after, since, None)) if after == answers => (since + limits.idle, Expiry::Idle),
            _ => {
                self.waiting = Some((answers, now, None));
                (now + limits.idle, Expiry::Idle)
            }
        };
        self.poll_deadline(task, now, deadline).map(|()| expiry)
    }

    /// Notes that bytes have come: they may be the first of a request.
    fn note_read(&mut self) {
        let Some(answers) = self.course.between() else { return };
        let now = self.context.clock.now();
        match &mut self.waiting {
            Some((after, _, first)) if *after == answers => {
                first.get_or_insert(now);
            }
            waiting => *waiting = Some((answers, now, Some(now))),
        }
    }

    fn note_write(
        &mut self,
        task: &mut Task<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let now = self.context.clock.now();
        match written {
            Poll::Ready(Ok(bytes)) => self.reader.handle_bytes(now, bytes as u64),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                self.reader.handle_wait(now);
                while let Some(deadline) = self.reader.deadline() {
                    ready!(self.poll_deadline(task, now, deadline));
                    if self.reader.is_too_slow(now) {
                        self.expired = Some(Expiry::Reader);
                        return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                    }
                }
            }
        }
        written
    }
}

impl AsyncRead for WatchedConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(task, buffer) {
            Poll::Pending => {
                self.expired = Some(ready!(self.poll_patience(task)));
                // To the reader of requests this is the end: nothing more will come.
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(())) => {
                if buffer.filled().len() > before {
                    self.note_read();
                }
                Poll::Ready(Ok(()))
            }
            broken => broken,
        }
    }
}

impl AsyncWrite for WatchedConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(task, bytes);
        self.note_write(task, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(task, pieces);
        self.note_write(task, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}
