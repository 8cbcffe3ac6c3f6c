//! Uploads from a browser's form: `multipart/form-data` (RFC 7578), each file under its own name.
//!
//! The parser reads ahead as long as there is something to read, so what it is given is rationed:
//! the heads of the parts have a bound, and a file is taken a piece at a time.

use super::body::{Broken, PacedBody};
use super::save::{NAMELESS, Naming, Pieces, StoreLimits, StoredUpload, save as save_pieces};
use crate::http::names;
use crate::http::site::refusal::Refusal;
use bytes::Bytes;
use http_body_util::BodyStream;
use hyper::StatusCode;
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use multer::{Constraints, Field, Multipart, SizeLimit};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// The most bytes that a form may have around and between its files.
pub(super) const AROUND_MAX: u64 = 1 << 20;
const PARTS_MAX: usize = 1000;
/// The number of bytes that are read to find the next part's head.
const HEAD_RATION: usize = 64 << 10;
/// The number of bytes of a file that are read at once.
const DATA_RATION: usize = 128 << 10;

/// Returns the boundary of a form, when the body is one.
pub(super) fn boundary(headers: &HeaderMap) -> Option<String> {
    multer::parse_boundary(headers.get(CONTENT_TYPE)?.to_str().ok()?).ok()
}

/// Stores each file of a form, and tells `on_stored` of it at once: it stays, whatever becomes of
/// the next.
pub(super) async fn save(
    folder: &Path,
    limits: &StoreLimits,
    body: PacedBody,
    boundary: String,
    on_stored: impl Fn(&StoredUpload),
) -> Result<Vec<StoredUpload>, Refusal> {
    let limit = limits.size_max;
    let ration = Arc::new(AtomicUsize::new(0));
    let rationed = Rationed { frames: BodyStream::new(body), ration: ration.clone() };
    let whole = limit.saturating_add(AROUND_MAX);
    let constraints = Constraints::new().size_limit(SizeLimit::new().whole_stream(whole));
    let mut form = Multipart::with_constraints(rationed, boundary, constraints);
    let mut stored = Vec::new();
    for _ in 0..PARTS_MAX {
        ration.store(HEAD_RATION, Ordering::Relaxed);
        let next = std::future::poll_fn(|task| match form.poll_next_field(task) {
            Poll::Pending if ration.load(Ordering::Relaxed) == 0 => {
                Poll::Ready(Err(multer::Error::IncompleteHeaders))
            }
            polled => polled,
        });
        let Some(field) = next.await.map_err(|error| refusal(error, limit))? else {
            return match stored.is_empty() {
                true => Err(Refusal::new(StatusCode::BAD_REQUEST, "the form has no file in it")),
                false => Ok(stored),
            };
        };
        let said = field.file_name().map(str::to_owned);
        let mut part = FormPart { field, ration: ration.clone(), limit };
        match said.as_deref() {
            // A text field, or a file that was not chosen: read over, as the parser needs it.
            None | Some("") => while part.piece().await?.is_some() {},
            Some(said) => {
                let name = names::safe(said).unwrap_or_else(|| NAMELESS.to_owned());
                let file =
                    save_pieces(folder, limits, &name, Naming::Counted, None, &mut part).await?;
                on_stored(&file);
                stored.push(file);
            }
        }
    }
    Err(Refusal::new(StatusCode::BAD_REQUEST, format!("the form has more than {PARTS_MAX} parts")))
}

/// One part of a form.
struct FormPart {
    field: Field<'static>,
    ration: Arc<AtomicUsize>,
    limit: u64,
}

impl Pieces for FormPart {
    async fn piece(&mut self) -> Result<Option<Bytes>, Refusal> {
        self.ration.store(DATA_RATION, Ordering::Relaxed);
        self.field.chunk().await.map_err(|error| refusal(error, self.limit))
    }
}

/// The body, given out up to a ration that the reader renews.
struct Rationed {
    frames: BodyStream<PacedBody>,
    ration: Arc<AtomicUsize>,
}

impl futures_core::Stream for Rationed {
    type Item = Result<Bytes, Broken>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let left = self.ration.load(Ordering::Relaxed);
        if left == 0 {
            // The reader looks at what it has, and comes again with a new ration.
            return Poll::Pending;
        }
        let frame = std::task::ready!(Pin::new(&mut self.frames).poll_next(task));
        let piece = frame
            .map(|frame| frame.map(|frame: Frame<Bytes>| frame.into_data().unwrap_or_default()));
        if let Some(Ok(piece)) = &piece {
            self.ration.store(left.saturating_sub(piece.len()), Ordering::Relaxed);
        }
        Poll::Ready(piece)
    }
}

fn refusal(error: multer::Error, limit: u64) -> Refusal {
    match error {
        multer::Error::StreamSizeExceeded { .. } | multer::Error::FieldSizeExceeded { .. } => {
            Refusal::too_large(limit)
        }
        multer::Error::StreamReadFailed(cause) => match cause.downcast::<Broken>() {
            Ok(broken) => (*broken).into(),
            Err(cause) => {
                Refusal::new(StatusCode::BAD_REQUEST, format!("the upload broke off: {cause}"))
            }
        },
        error => Refusal::new(StatusCode::BAD_REQUEST, format!("the form cannot be read: {error}")),
    }
}
