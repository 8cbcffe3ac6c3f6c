//! The reason why a request is not fulfilled, as a value; what it looks like is decided
//! elsewhere.

use hyper::StatusCode;
use hyper::header::{CONNECTION, HeaderName, HeaderValue, RETRY_AFTER};
use rustix::io::Errno;
use std::io;

/// The reason why a request is not fulfilled.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) reason: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), headers: Vec::new() }
    }

    /// Adds a header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Ends the connection behind the answer.
    pub(super) fn closing(self) -> Self {
        self.with(CONNECTION, HeaderValue::from_static("close"))
    }

    /// Returns the refusal of an upload beyond `limit` bytes.
    pub(super) fn too_large(limit: u64) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, format!("at most {limit} bytes are stored"))
            .closing()
    }

    /// Returns the refusal of a request when something inside went wrong; the log says what.
    pub(super) fn failure() -> Self {
        let reason = "something went wrong inside the server; its log says what";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, reason)
    }
}

impl From<io::Error> for Refusal {
    /// Returns what the system says about a file, as an answer. Details stay in our log: paths of
    /// ours concern no client.
    fn from(error: io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(
                Errno::NOENT
                | Errno::NOTDIR
                | Errno::LOOP
                | Errno::XDEV
                | Errno::NAMETOOLONG
                | Errno::NXIO,
            ) => Self::new(StatusCode::NOT_FOUND, "there is no such file here"),
            Some(Errno::ACCESS | Errno::PERM) => {
                Self::new(StatusCode::FORBIDDEN, "this file may not be read")
            }
            Some(Errno::MFILE | Errno::NFILE) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the server has too much to do; try again",
            )
            .with(RETRY_AFTER, HeaderValue::from_static("1")),
            _ if matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ) =>
            {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "there is no room left for it")
            }
            _ => {
                log::error!("an answer failed: {error}");
                Self::failure()
            }
        }
    }
}
