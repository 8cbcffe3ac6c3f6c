//! Uploads from a browser's form: `multipart/form-data` (RFC 7578), each file under its own name.
//!
//! The parser reads ahead as long as there is something to read, so what it is given is rationed:
//! the heads of the parts have a bound, and a file is taken a piece at a time.

use super::body::{Broken, PacedBody};
use super::save::{NAMELESS, Naming, Pieces, StoreLimits, StoredUpload, save as save_pieces};
use crate::http::site::refusal::Refusal;
use crate::http::{disposition, names};
use bytes::Bytes;
use http_body_util::BodyStream;
use hyper::StatusCode;
use hyper::body::Frame;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, HeaderValue};
use multer::{Constraints, Field, Multipart, SizeLimit};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// The most bytes that a form may have around and between its files.
pub(super) const AROUND_MAX: u64 = 1 << 20;
const PARTS_MAX: usize = 1000;
/// RFC 2046 allows 70; some clients take more.
const BOUNDARY_BYTES_MAX: usize = 200;
/// The number of bytes that are read to find the next part's head.
const HEAD_RATION: usize = 64 << 10;
/// The number of bytes of a file that are read at once.
const DATA_RATION: usize = 128 << 10;

/// Returns the boundary of a form, when the body is one.
///
/// It is read leniently: what clients write there is not always what RFC 2046 allows without
/// quotes.
///
/// # Errors
/// When the body is a form and has no boundary that can be read: it must not pass for a file.
pub(super) fn boundary(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let bad = |reason| Err(Refusal::new(StatusCode::BAD_REQUEST, reason));
    let all = headers.get_all(CONTENT_TYPE);
    let is_form = all.iter().any(|field| is_form(field.as_bytes()));
    let mut fields = all.iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return if is_form { bad("the upload has more than one Content-Type") } else { Ok(None) };
    };
    if !is_form {
        return Ok(None);
    }
    let read = field.to_str().ok().and_then(|text| disposition::parameter(text, "boundary"));
    let is_boundary = |text: &String| {
        (1..=BOUNDARY_BYTES_MAX).contains(&text.len())
            && !text.ends_with(' ')
            && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
    };
    match read.filter(is_boundary) {
        Some(boundary) => Ok(Some(boundary)),
        None => bad("the form's boundary cannot be read"),
    }
}

/// Returns true for `multipart/form-data`, whatever is behind it.
fn is_form(content_type: &[u8]) -> bool {
    let end = content_type.iter().position(|byte| matches!(byte, b';' | b',' | b' ' | b'\t'));
    let name = &content_type[..end.unwrap_or(content_type.len())];
    name.eq_ignore_ascii_case(b"multipart/form-data")
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
        let said = field.headers().get(CONTENT_DISPOSITION);
        let said = said.and_then(|field| disposition::form_file_name(field.as_bytes()));
        let coding = field.headers().get("content-transfer-encoding").map(HeaderValue::as_bytes);
        if !coding.is_none_or(is_identity) {
            // RFC 7578, section 4.7: nobody should send it, and what it makes is not the file.
            let reason = "files are stored as they come: send them without an encoding";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
        }
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

/// Returns true for a transfer encoding that leaves the bytes as they are.
fn is_identity(coding: &[u8]) -> bool {
    [&b"binary"[..], b"8bit", b"7bit"].iter().any(|name| coding.eq_ignore_ascii_case(name))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[&str]) -> Result<Option<String>, StatusCode> {
        let mut headers = HeaderMap::new();
        for field in fields {
            let value = HeaderValue::from_bytes(field.as_bytes()).unwrap();
            headers.append(CONTENT_TYPE, value);
        }
        boundary(&headers).map_err(|refusal| refusal.status)
    }

    #[test]
    fn boundaries_are_read_as_clients_write_them_and_a_form_without_one_is_no_file() {
        for (field, expected) in [
            ("multipart/form-data; boundary=abc", Some("abc")),
            ("Multipart/Form-Data;BOUNDARY=abc;charset=utf-8", Some("abc")),
            ("multipart/form-data; charset=utf-8; boundary=\"a b;c\"", Some("a b;c")),
            (
                "multipart/form-data; boundary=BnwTroy:bN-XtGH:zptICgfofzS:'-",
                Some("BnwTroy:bN-XtGH:zptICgfofzS:'-"),
            ),
            ("multipart/form-data; boundary=a/b=c", Some("a/b=c")),
            ("multipart/form-data; boundary=X X", Some("X X")),
            ("multipart/form-data; boundary=a?(b),c", Some("a?(b),c")),
        ] {
            assert_eq!(read(&[field]), Ok(expected.map(str::to_owned)), "{field}");
        }
        let long = format!("multipart/form-data; boundary={}", "x".repeat(201));
        for field in [
            "multipart/form-data",
            "multipart/form-data;",
            "multipart/form-data; boundary",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"\"",
            "multipart/form-data; boundary=\"a \"",
            "multipart/form-data; boundary=ü",
            "multipart/form-data; xboundary=a",
            &long,
        ] {
            assert_eq!(read(&[field]), Err(StatusCode::BAD_REQUEST), "{field}");
        }
        let form = "multipart/form-data; boundary=a";
        assert_eq!(read(&[form, form]), Err(StatusCode::BAD_REQUEST));
        for field in ["text/plain", "multipart/mixed; boundary=a", "multipart/form-datax", ""] {
            assert_eq!(read(&[field]), Ok(None), "{field}");
        }
        assert_eq!(read(&[]), Ok(None));
    }
}
