//! POST and PUT: a file to a server, and its word that it has what was sent.

#![expect(clippy::disallowed_methods, reason = "hyper runs on tokio, and so do its waits")]

use super::chained_body::ChainedBody;
use super::connection::{Body, HttpConnection};
use super::report::{DigestCheck, Head, HttpReport};
use super::{HttpClient, HttpFailure, Url, persist};
use crate::http::digest_field::{self, REPR_DIGEST};
use crate::http::disposition;
use crate::http::file_body::FileBody;
use crate::http::read_ahead::ReadAhead;
use crate::storage::HashedFile;
use http_body_util::BodyExt as _;
use hyper::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use indicatif::ProgressBar;
use jostle_common::clock::Clock;
use jostle_common::digest::Digest;
use jostle_common::time::Instant;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The time between two moves of the bar.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The memory for the pieces of the one file that is sent.
const READ_AHEAD_BYTES: u64 = 1 << 20;

/// The way in which a file is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// Under the URL's own name, and no other.
    Put,
    /// As it is; the server finds a name.
    Post,
    /// As a browser's form does.
    Form,
}

/// A file on its way.
struct Send<'a> {
    connection: &'a mut HttpConnection,
    path: &'a Path,
    sending: Sending,
    bar: &'a ProgressBar,
    report: HttpReport,
}

/// Sends a file.
pub async fn upload(
    client: &mut HttpClient,
    url: &Url,
    path: &Path,
    sending: Sending,
    bar: &ProgressBar,
) -> HttpReport {
    let clock = Clock::start();
    let HttpClient { settings, connection } = client;
    let mut report = HttpReport::new(url.clone());
    report.path = Some(path.to_owned());
    let mut send = Send { connection, path, sending, bar, report };
    let mut retries = 0;
    let done = persist(settings.retries, &mut retries, async || send.attempt().await).await;
    let mut report = send.report;
    report.failure = done.err();
    report.retries = retries;
    report.elapsed = clock.now().since(Instant::START);
    report
}

impl Send<'_> {
    async fn attempt(&mut self) -> Result<(), HttpFailure> {
        let named = |error: std::io::Error| HttpFailure::Final(error.to_string());
        // Read once for the digest, which the server checks as the bytes come in.
        let HashedFile { file, size, digest, .. } = HashedFile::open(self.path).map_err(named)?;
        (self.report.size, self.report.digest) = (size, Some(digest));
        let shared = Arc::new(ReadAhead::new(READ_AHEAD_BYTES));
        let body = FileBody::open(Arc::new(file), 0..size, Clock::start(), shared);
        let body = body.await.map_err(named)?;
        let request = self.request(body, digest)?;
        let sent = Arc::new(AtomicU64::new(0));
        self.bar.set_length(size);
        let (bar, progress) = (self.bar.clone(), sent.clone());
        let moving = tokio::spawn(async move {
            loop {
                bar.set_position(progress.load(Ordering::Relaxed).min(size));
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        let answer = self.connection.send(&self.report.url, request, sent.clone()).await;
        moving.abort();
        // Once all of a POST has gone out, it may be stored already; sent again it would be stored
        // twice.
        let is_open = self.sending == Sending::Put || sent.load(Ordering::Relaxed) < size;
        let judge = |failure: HttpFailure| if is_open { failure } else { failure.last() };
        let response = answer.map_err(judge)?;
        let head = Head::of(&response);
        self.report.head = Some(head.clone());
        let said = self.connection.text(response.into_body()).await.map_err(judge)?;
        if sent.load(Ordering::Relaxed) < size {
            // The rest of the body would be taken for the next request.
            self.connection.close();
        }
        let is_damaged = digest_field::parse(&head.headers)
            .is_some_and(|digest| digest != Digest::of(said.as_bytes()));
        if is_damaged {
            return Err(judge(HttpFailure::Passing(
                "the server's answer was damaged on the way".to_owned(),
            )));
        }
        match head.status {
            status if status.is_success() => self.check(&said, size, digest).map_err(judge),
            StatusCode::BAD_REQUEST if said.contains("damaged on the way") => {
                self.report.damaged += 1;
                Err(HttpFailure::of_status(head.status, &said).passing())
            }
            status => Err(HttpFailure::of_status(status, &said)),
        }
    }

    fn request(&self, file: FileBody, digest: Digest) -> Result<Request<Body>, HttpFailure> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let content_type = mime_guess::from_path(self.path).first_or_octet_stream().to_string();
        let mut request = Request::new(match self.sending {
            Sending::Put | Sending::Post => file.boxed_unsync(),
            Sending::Form => {
                let quoted = name
                    .replace('%', "%25")
                    .replace('"', "%22")
                    .replace('\r', "%0D")
                    .replace('\n', "%0A");
                let before = format!(
                    "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; \
                     filename=\"{quoted}\"\r\n\
                     Content-Type: {content_type}\r\n\r\n"
                );
                ChainedBody::new(before, file, format!("\r\n--{BOUNDARY}--\r\n")).boxed_unsync()
            }
        });
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/plain;q=0.5"));
        let content_type = match self.sending {
            Sending::Form => format!("multipart/form-data; boundary={BOUNDARY}"),
            Sending::Put | Sending::Post => content_type,
        };
        headers.extend(HeaderValue::try_from(content_type).map(|value| (CONTENT_TYPE, value)));
        if self.sending != Sending::Form {
            headers.insert(REPR_DIGEST, digest_field::value(digest));
        }
        if self.sending == Sending::Post {
            headers.extend(
                HeaderValue::try_from(disposition::attachment(&name))
                    .map(|value| (CONTENT_DISPOSITION, value)),
            );
        }
        *request.method_mut() =
            if self.sending == Sending::Put { Method::PUT } else { Method::POST };
        *request.uri_mut() = self.report.url.path().parse().expect("the URL was read from a path");
        Ok(request)
    }

    /// Returns true if the server says that it has what was sent.
    fn check(&mut self, said: &str, size: u64, digest: Digest) -> Result<(), HttpFailure> {
        self.report.check = DigestCheck::None;
        let answer: Option<Value> = serde_json::from_str(said).ok();
        let Some(file) = answer.as_ref().and_then(|answer| answer["files"].get(0)) else {
            return Ok(());
        };
        self.report.stored = file["name"].as_str().map(str::to_owned);
        match (file["sha256"].as_str(), file["size"].as_u64()) {
            (Some(stored), _) if stored.eq_ignore_ascii_case(&digest.to_string()) => {
                self.report.check = DigestCheck::Digest;
                Ok(())
            }
            (Some(stored), _) => {
                self.report.damaged += 1;
                Err(HttpFailure::Final(format!(
                    "the server stored something else than was sent: sha256 {stored}"
                )))
            }
            (None, Some(stored)) if stored == size => {
                self.report.check = DigestCheck::Length;
                Ok(())
            }
            (None, Some(stored)) => {
                Err(HttpFailure::Final(format!("the server stored {stored} bytes")))
            }
            (None, None) => Ok(()),
        }
    }
}

/// Between the parts of a form. 128 random bits, which no file contains by chance.
const BOUNDARY: &str = "jostle-5c1f4b0e9a7d4e2fb36a8d90c2e7f134";
