//! A connection's bytes, with an eye on the clock and on the shape of requests: a peer that asks
//! nothing, asks too slowly, asks what cannot be read in one way, or does not read, is let go.

#![expect(clippy::disallowed_methods, reason = "hyper runs on tokio, and so do its waits")]

use super::handler::Context;
use crate::http::pace::Pace;
use jostle_common::clock::Clock;
use jostle_common::http1::{BadRequest, RequestFraming};
use jostle_common::time::Instant;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as Task, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// The progress of a connection's requests; shared by its bytes and its answers.
#[derive(Debug)]
pub(super) struct Activity {
    clock: Clock,
    begun: AtomicU64,
    ended: AtomicU64,
    /// The time at which the last answer was complete, or the connection began, in nanoseconds.
    since: AtomicU64,
}

impl Activity {
    /// Creates the activity of a connection that begins now.
    pub(super) fn new(clock: Clock) -> Self {
        let since = AtomicU64::new(clock.now().as_nanos());
        Self { clock, begun: AtomicU64::new(0), ended: AtomicU64::new(0), since }
    }

    /// Returns the number of answers that are complete and the time since when nothing is asked,
    /// if none is being made.
    pub(super) fn idle(&self) -> Option<(u64, Instant)> {
        let answers = self.between()?;
        Some((answers, Instant::from_nanos(self.since.load(Ordering::Relaxed))))
    }

    /// Notes that a request's head was read.
    pub(super) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that its answer is complete, or dropped.
    pub(super) fn end(&self) {
        self.since.store(self.clock.now().as_nanos(), Ordering::Relaxed);
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
    /// A request is not one.
    Malformed(BadRequest),
}

/// A TCP stream that ends when its peer takes too long, or sends what is no request.
pub(super) struct WatchedConnection {
    stream: Arc<TcpStream>,
    context: Arc<Context>,
    course: Arc<Activity>,
    /// The number of answers after which this wait for a request began, the time of its beginning,
    /// and the time at which its first byte came.
    waiting: Option<(u64, Instant, Option<Instant>)>,
    reader: Pace,
    timer: Option<Pin<Box<Sleep>>>,
    framing: RequestFraming,
    expired: Option<Expiry>,
}

impl WatchedConnection {
    pub(super) fn new(
        stream: Arc<TcpStream>,
        context: Arc<Context>,
        course: Arc<Activity>,
    ) -> Self {
        let reader = Pace::new(context.limits.least);
        let framing = RequestFraming::new(context.limits.head_bytes);
        let (waiting, timer, expired) = (None, None, None);
        Self { stream, context, course, waiting, reader, timer, framing, expired }
    }

    /// Returns the reason why it was let go, if it was.
    pub(super) const fn expired(&self) -> Option<Expiry> {
        self.expired
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
        if let Some(wrong) = self.framing.wrong() {
            return Poll::Ready(match wrong.is_in_body {
                // Whoever reads the body is told that it broke off.
                true => Err(io::Error::new(io::ErrorKind::InvalidData, wrong.reason)),
                false => {
                    self.expired = Some(Expiry::Malformed(wrong));
                    Ok(())
                }
            });
        }
        match poll_read(&self.stream, task, buffer) {
            Poll::Pending => {
                self.expired = Some(ready!(self.poll_patience(task)));
                // To the reader of requests this is the end: nothing more will come.
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                self.note_read();
                let passed = self.framing.follow(&buffer.filled()[before..]);
                buffer.set_filled(before + passed);
                // Nothing passed on is the end to the reader, and its reason is told.
                if passed == 0 { self.poll_read(task, buffer) } else { Poll::Ready(Ok(())) }
            }
            ended => ended,
        }
    }
}

/// Reads what has come, as `TcpStream` does for its only owner.
fn poll_read(
    stream: &TcpStream,
    task: &mut Task<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    loop {
        ready!(stream.poll_read_ready(task))?;
        match stream.try_read_buf(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return Poll::Ready(read.map(drop)),
        }
    }
}

/// Writes what the system takes, in the same way.
fn poll_write(
    stream: &TcpStream,
    task: &mut Task<'_>,
    pieces: &[io::IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_write_ready(task))?;
        match stream.try_write_vectored(pieces) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            written => return Poll::Ready(written),
        }
    }
}

impl AsyncWrite for WatchedConnection {
    fn poll_write(
        self: Pin<&mut Self>,
        task: &mut Task<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(task, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = poll_write(&self.stream, task, pieces);
        self.note_write(task, written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends our half; what the peer has ended already cannot be ended again, which is no error.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<io::Result<()>> {
        let _ = socket2::SockRef::from(&*self.stream).shutdown(Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}
