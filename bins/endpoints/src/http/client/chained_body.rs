//! A file between two texts: the body of a form.

use crate::http::file_body::FileBody;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A text, a file, and a text.
pub(super) struct ChainedBody {
    before: Bytes,
    file: FileBody,
    after: Bytes,
}

impl ChainedBody {
    pub(super) fn new(before: String, file: FileBody, after: String) -> Self {
        Self { before: before.into(), file, after: after.into() }
    }
}

impl Body for ChainedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if !self.before.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.before)))));
        }
        if let Some(frame) = ready!(Pin::new(&mut self.file).poll_frame(task)) {
            return Poll::Ready(Some(frame));
        }
        let after = std::mem::take(&mut self.after);
        Poll::Ready((!after.is_empty()).then(|| Ok(Frame::data(after))))
    }

    fn is_end_stream(&self) -> bool {
        self.before.is_empty() && self.file.is_end_stream() && self.after.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let file = self.file.size_hint().exact().unwrap_or(0);
        SizeHint::with_exact(self.before.len() as u64 + file + self.after.len() as u64)
    }
}
