//! Bytes of an open file as the body of a message: a piece or two in memory, however large the file
//! is.

use super::blocking;
use super::read_ahead::{Appetite, ReadAhead};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use jostle_common::clock::Clock;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

type Reading = Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send>>;

/// A range of a file.
pub(crate) struct FileBody {
    file: Arc<File>,
    clock: Clock,
    appetite: Appetite,
    shared: Arc<ReadAhead>,
    /// The range that is not being read yet.
    rest: Range<u64>,
    /// The number of bytes that are still to be given out.
    left: u64,
    first: Option<Bytes>,
    reading: Option<Reading>,
}

impl FileBody {
    /// Returns the bytes of `range`, of which the first are read at once: a file that cannot be
    /// read is an error, not a broken message.
    pub(crate) async fn open(
        file: Arc<File>,
        range: Range<u64>,
        clock: Clock,
        shared: Arc<ReadAhead>,
    ) -> io::Result<Self> {
        let left = range.end - range.start;
        let (appetite, first, reading) = (Appetite::default(), None, None);
        let mut body = Self { file, clock, appetite, shared, rest: range, left, first, reading };
        if let Some(reading) = body.next() {
            body.first = Some(reading.await?);
        }
        Ok(body)
    }

    /// Begins to read the next piece, if there is one.
    fn next(&mut self) -> Option<Reading> {
        let start = self.rest.start;
        let length = (self.rest.end - start).min(self.appetite.piece());
        if length == 0 {
            return None;
        }
        self.rest.start += length;
        let file = self.file.clone();
        Some(Box::pin(blocking(move || {
            let mut piece = vec![0; length as usize];
            // Shorter than it was: its length is promised already, so the message must break off.
            file.read_exact_at(&mut piece, start)?;
            Ok(Bytes::from(piece))
        })))
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let piece = match self.first.take() {
            Some(first) => first,
            None => {
                let Some(mut reading) = self.reading.take().or_else(|| self.next()) else {
                    return Poll::Ready(None);
                };
                match reading.as_mut().poll(task) {
                    Poll::Ready(piece) => piece?,
                    Poll::Pending => {
                        self.reading = Some(reading);
                        return Poll::Pending;
                    }
                }
            }
        };
        self.left -= piece.len() as u64;
        let (now, shared) = (self.clock.now(), self.shared.clone());
        self.appetite.handle_piece(now, piece.len() as u64, &shared);
        if self.appetite.reads_ahead() {
            self.reading = self.next();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
