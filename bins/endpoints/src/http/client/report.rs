//! The result of one file.

use super::url::Url;
use hyper::header::HeaderMap;
use hyper::{StatusCode, Version};
use jostle_common::digest::Digest;
use std::path::PathBuf;
use std::time::Duration;

/// The degree to which it was checked that a file arrived as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestCheck {
    /// Its SHA-256 is the one that the other side named.
    Digest,
    /// Only its length: the server named no digest.
    Length,
    /// Nothing: the server named neither.
    None,
}

/// The head of an answer.
#[derive(Clone, Debug)]
pub struct Head {
    /// The version of HTTP.
    pub version: Version,
    /// The status.
    pub status: StatusCode,
    /// The headers; not to be printed without escaping.
    pub headers: HeaderMap,
}

/// The result of one file, or of one question.
#[derive(Clone, Debug)]
pub struct HttpReport {
    /// The address that it came from or went to, after all redirections.
    pub url: Url,
    /// The last answer's head, if one came.
    pub head: Option<Head>,
    /// The path of a fetched file, or of the file that was sent.
    pub path: Option<PathBuf>,
    /// The server's name for the file that was sent; not to be printed without escaping.
    pub stored: Option<String>,
    /// The size of the file in bytes.
    pub size: u64,
    /// The number of its bytes that were there from an earlier attempt when the last began.
    pub resumed: u64,
    /// The digest of the file.
    pub digest: Option<Digest>,
    /// The degree to which it was checked.
    pub check: DigestCheck,
    /// The number of times that it was tried again.
    pub retries: u32,
    /// The number of times that all bytes came and the digest was another.
    pub damaged: u32,
    /// The time that it took.
    pub elapsed: Duration,
    /// The reason for its failure, if it failed; not to be printed without escaping.
    pub failure: Option<String>,
}

impl HttpReport {
    pub(super) const fn new(url: Url) -> Self {
        Self {
            url,
            head: None,
            path: None,
            stored: None,
            size: 0,
            resumed: 0,
            digest: None,
            check: DigestCheck::None,
            retries: 0,
            damaged: 0,
            elapsed: Duration::ZERO,
            failure: None,
        }
    }
}

impl Head {
    pub(super) fn of<B>(response: &hyper::Response<B>) -> Self {
        Self {
            version: response.version(),
            status: response.status(),
            headers: response.headers().clone(),
        }
    }
}
