//! GET: a file into a folder, whole and checked, however often it breaks off on the way.

use super::connection::HttpConnection;
use super::head::request;
use super::part::PartialDownload;
use super::report::{DigestCheck, Head, HttpReport};
use super::{HttpClient, HttpFailure, Url, persist};
use crate::http::{digest_field, names};
use hyper::body::{Body as _, Incoming};
use hyper::header::{
    CONTENT_DISPOSITION, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_RANGE,
    LOCATION, RANGE,
};
use hyper::{Method, Response, StatusCode};
use indicatif::ProgressBar;
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_common::units::ByteSize;
use std::path::PathBuf;
use std::sync::Arc;

const REDIRECTIONS_MAX: u32 = 10;
/// The name of a file that has none.
const NAMELESS: &str = "download";

/// The place to which a fetched file goes.
#[derive(Clone, Debug)]
pub enum DownloadTarget {
    /// Under this name, over what is there.
    File(PathBuf),
    /// Into this folder, under the name that the server or the URL gives it, or the next that is
    /// free.
    Folder(PathBuf),
}

/// A fetch under way.
struct Fetch<'a> {
    connection: &'a mut HttpConnection,
    target: &'a DownloadTarget,
    size_max: u64,
    resume: bool,
    bar: &'a ProgressBar,
    report: HttpReport,
    part: Option<PartialDownload>,
    /// The last answer's `Content-Disposition`.
    disposition: Option<String>,
}

/// Fetches a file. `resume` goes on with what an earlier run has left.
pub async fn download(
    client: &mut HttpClient,
    url: &Url,
    target: &DownloadTarget,
    resume: bool,
    bar: &ProgressBar,
) -> HttpReport {
    let clock = Clock::start();
    let HttpClient { settings, connection } = client;
    let (report, size_max) = (HttpReport::new(url.clone()), settings.size_max);
    let mut fetch =
        Fetch { connection, target, size_max, resume, bar, report, part: None, disposition: None };
    let mut retries = 0;
    let done = persist(settings.retries, &mut retries, async || fetch.attempt().await).await;
    let mut report = fetch.report;
    if let Err(reason) = done {
        report.failure = Some(reason);
        if let Some(part) = fetch.part {
            part.abandon();
        }
    }
    report.retries = retries;
    report.elapsed = clock.now().since(Instant::START);
    report
}

impl Fetch<'_> {
    async fn attempt(&mut self) -> Result<(), HttpFailure> {
        if self.part.is_none() && self.resume && PartialDownload::is_left(&self.path()) {
            self.part = Some(PartialDownload::open(&self.path(), true).map_err(local)?);
        }
        let response = self.follow().await?;
        let head = Head::of(&response);
        let status = head.status;
        let digest = digest_field::parse(&head.headers);
        let field = head.headers.get(CONTENT_DISPOSITION);
        self.disposition =
            field.and_then(|field| std::str::from_utf8(field.as_bytes()).ok()).map(str::to_owned);
        let length = response.body().size_hint().exact();
        self.report.head = Some(head);
        if let Err(failure) = self.begin(&response) {
            let said = self.connection.text(response.into_body()).await.unwrap_or_default();
            return Err(match failure {
                Some(failure) => failure,
                None => HttpFailure::of_status(status, &said),
            });
        }
        let total = length.map(|length| length + self.report.resumed);
        self.receive(response.into_body(), total).await?;
        self.check(digest, total)
    }

    /// Asks, and asks again at the address that a redirection leads to.
    async fn follow(&mut self) -> Result<Response<Incoming>, HttpFailure> {
        for _ in 0..=REDIRECTIONS_MAX {
            let mut request = request(&self.report.url, Method::GET);
            let part = self.part.as_ref().and_then(|part| Some((part.size(), part.etag()?)));
            if let Some((size, etag)) = part
                && let (Ok(range), Ok(etag)) =
                    (HeaderValue::try_from(format!("bytes={size}-")), HeaderValue::try_from(etag))
            {
                request.headers_mut().insert(RANGE, range);
                // Another version comes whole, instead of a range that does not fit what is there.
                request.headers_mut().insert(IF_RANGE, etag);
            }
            let response = self.connection.send(&self.report.url, request, Arc::default()).await?;
            let location =
                response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            match (response.status().as_u16(), location) {
                (301 | 302 | 303 | 307 | 308, Some(location)) => {
                    self.report.url = self.report.url.join(location)?;
                    // Read to its end, so that the connection can be kept.
                    self.connection.text(response.into_body()).await?;
                }
                _ => return Ok(response),
            }
        }
        Err(HttpFailure::Final(format!("it is redirected more than {REDIRECTIONS_MAX} times")))
    }

    /// Makes ready for the body: behind what is there, or from the start. `Err(None)` when the
    /// status is no success.
    fn begin(&mut self, response: &Response<Incoming>) -> Result<(), Option<HttpFailure>> {
        let headers = response.headers();
        let wrong = |reason: &str| Some(HttpFailure::Passing(reason.to_owned()));
        let there = self.part.as_ref().map_or(0, PartialDownload::size);
        match response.status() {
            StatusCode::PARTIAL_CONTENT if there > 0 && first_byte(headers) == Some(there) => {
                self.report.resumed = there;
                Ok(())
            }
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if there > 0 => {
                self.restart(None).map_err(Some)?;
                Err(wrong("the server has another part than was asked for"))
            }
            StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION => {
                // Weak tags name no bytes.
                let etag = headers
                    .get(ETAG)
                    .and_then(|etag| etag.to_str().ok())
                    .filter(|etag| etag.starts_with('"'));
                self.report.resumed = 0;
                self.restart(etag).map_err(Some)
            }
            status if status.is_success() => {
                Err(Some(HttpFailure::Final(format!("{status} is no file"))))
            }
            _ => Err(None),
        }
    }

    fn restart(&mut self, etag: Option<&str>) -> Result<(), HttpFailure> {
        let path = self.path();
        let part = match self.part.take() {
            Some(part) => part,
            None => PartialDownload::open(&path, false).map_err(local)?,
        };
        self.part.insert(part).restart(etag).map_err(local)
    }

    async fn receive(&mut self, mut body: Incoming, total: Option<u64>) -> Result<(), HttpFailure> {
        self.bar.set_length(total.unwrap_or(0));
        let limit = self.size_max;
        let part = self.part.as_mut().expect("begin has opened it");
        self.bar.set_position(part.size());
        if total.is_some_and(|total| total > limit) {
            return Err(too_large(limit));
        }
        while let Some(piece) = self.connection.piece(&mut body).await? {
            if part.size() + piece.len() as u64 > limit {
                // Nothing of it will ever be of use.
                part.restart(None).map_err(local)?;
                return Err(too_large(limit));
            }
            part.append(&piece).map_err(local)?;
            self.bar.set_position(part.size());
        }
        Ok(())
    }

    /// Judges if the bytes that have come, now that they are all, are those that were sent.
    fn check(
        &mut self,
        expected: Option<jostle_common::digest::Digest>,
        total: Option<u64>,
    ) -> Result<(), HttpFailure> {
        let part = self.part.as_mut().expect("begin has opened it");
        let (size, digest) = (part.size(), part.digest());
        (self.report.size, self.report.digest) = (size, Some(digest));
        if let Some(expected) = expected
            && expected != digest
        {
            self.report.damaged += 1;
            // None of its bytes can be trusted, so nothing of it is resumed.
            part.restart(None).map_err(local)?;
            return Err(HttpFailure::Passing(format!(
                "it was damaged on the way: its sha256 is {digest}, the server's {expected}"
            )));
        }
        self.report.check = match (expected, total) {
            (Some(_), _) => DigestCheck::Digest,
            // Less would have been an answer that broke off.
            (None, Some(_)) => DigestCheck::Length,
            (None, None) => DigestCheck::None,
        };
        let path = self.path();
        let replace = matches!(self.target, DownloadTarget::File(_));
        let part = self.part.take().expect("it was there a moment ago");
        self.report.path = Some(part.finish(&path, replace).map_err(local)?);
        Ok(())
    }

    /// Returns the name it shall have. Nothing in it is the server's but a plain name.
    fn path(&self) -> PathBuf {
        match self.target {
            DownloadTarget::File(path) => path.clone(),
            DownloadTarget::Folder(folder) => {
                let said = self
                    .disposition
                    .as_deref()
                    .and_then(names::of_disposition)
                    .and_then(|name| names::safe(&name));
                folder.join(
                    said.or_else(|| self.report.url.name()).unwrap_or_else(|| NAMELESS.to_owned()),
                )
            }
        }
    }
}

/// Returns the first byte of the range that is sent.
fn first_byte(headers: &HeaderMap) -> Option<u64> {
    let range = field(headers, &CONTENT_RANGE)?.strip_prefix("bytes ")?;
    range.split_once('-')?.0.parse().ok()
}

fn field<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn too_large(limit: u64) -> HttpFailure {
    let limit = ByteSize::new(limit);
    HttpFailure::Final(format!("the file has more than {limit}; raise the limit with --max-size"))
}

/// Returns a failure of ours: another try would meet it too.
fn local(error: std::io::Error) -> HttpFailure {
    HttpFailure::Final(error.to_string())
}
