//! GET: a file into a folder, whole and checked, however often it breaks off on the way.

use super::connection::HttpConnection;
use super::head::request;
use super::part::{PartVersion, PartialDownload};
use super::reception::{self, Misfit, Reception, Resumed};
use super::report::{DigestCheck, Head, HttpReport};
use super::{HttpClient, HttpFailure, Url, persist};
use crate::http::{digest_field, disposition, names};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_DISPOSITION, HeaderValue, IF_RANGE, LOCATION, RANGE};
use hyper::{Method, Response};
use indicatif::ProgressBar;
use jostle_common::clock::Clock;
use jostle_common::digest::Digest;
use jostle_common::time::Instant;
use jostle_common::units::ByteSize;
use std::path::PathBuf;
use std::sync::Arc;

const REDIRECTIONS_MAX: u32 = 10;
/// The number of times that one attempt begins anew, as the answers do not fit together.
const ANEW_MAX: u32 = 2;
/// The number of answers of one attempt: a server may send a file in pieces of its own choice.
const QUESTIONS_MAX: u32 = 10_000;
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
    /// The address that was asked for, before all redirections.
    asked: Url,
    report: HttpReport,
    part: Option<PartialDownload>,
    /// The digest that the server names for the version that is there.
    expected: Option<Digest>,
    /// The size of that version, if the server names one.
    total: Option<u64>,
    /// The last version whose size was named, also when nothing is there of it any more.
    named: Option<PartVersion>,
    /// The name that the last answer gives to the file; not safe.
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
    let mut fetch = Fetch {
        connection,
        target,
        size_max,
        resume,
        bar,
        asked: url.clone(),
        report,
        part: None,
        expected: None,
        total: None,
        named: None,
        disposition: None,
    };
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
    /// Asks until all of the file is there: a server may send less than was asked for, and what
    /// does not fit what is there makes it begin anew.
    async fn attempt(&mut self) -> Result<(), HttpFailure> {
        if self.part.is_none() && self.resume && PartialDownload::is_left(&self.path()) {
            self.part = Some(PartialDownload::open(&self.path(), true).map_err(local)?);
        }
        let mut begun_anew = 0;
        for question in 0..QUESTIONS_MAX {
            let (response, is_resuming) = self.follow().await?;
            let head = Head::of(&response);
            let (status, headers) = (head.status, head.headers.clone());
            self.report.head = Some(head);
            let field = headers.get(CONTENT_DISPOSITION);
            self.disposition = field.and_then(|field| disposition::file_name(field.as_bytes()));
            let length = response.body().size_hint().exact();
            let reception = reception::judge(status, &headers, length, self.resumed(is_resuming));
            let digest = digest_field::parse(&headers);
            let end = match self.begin(reception, digest) {
                Ok(end) => end,
                Err(refusal) => {
                    let said = self.connection.text(response.into_body()).await.unwrap_or_default();
                    match refusal {
                        Unusable::Anew(misfit) if begun_anew < ANEW_MAX => {
                            log::info!("{}: the server {misfit}; from the start", self.report.url);
                            begun_anew += 1;
                            continue;
                        }
                        Unusable::Anew(misfit) => {
                            return Err(HttpFailure::Passing(format!("the server {misfit}")));
                        }
                        Unusable::Failed(failure) => return Err(failure),
                        Unusable::Status => return Err(HttpFailure::of_status(status, &said)),
                    }
                }
            };
            if question == 0 || !is_resuming {
                self.report.resumed = self.part.as_ref().map_or(0, PartialDownload::size);
            }
            self.receive(response.into_body(), end).await?;
            if !self.is_short() {
                return self.check();
            }
        }
        Err(HttpFailure::Passing(format!(
            "the server sends pieces too small: {QUESTIONS_MAX} of them are not the file"
        )))
    }

    /// Asks, and asks again at the address that a redirection leads to. Returns the answer, and
    /// true if it was asked to go on with what is there.
    async fn follow(&mut self) -> Result<(Response<Incoming>, bool), HttpFailure> {
        for _ in 0..=REDIRECTIONS_MAX {
            let mut request = request(&self.report.url, Method::GET);
            let url = self.report.url.to_string();
            // A tag is one address's own; the part of another address is of no use.
            let part = self.part.as_ref().and_then(|part| Some((part.size(), part.version()?)));
            let part = part.filter(|(_, version)| version.url == url);
            let is_resuming = match part {
                Some((size, version)) => {
                    let range = HeaderValue::try_from(format!("bytes={size}-"));
                    let etag = HeaderValue::try_from(&version.etag);
                    let headers = request.headers_mut();
                    headers.extend(range.map(|range| (RANGE, range)));
                    // Another version comes whole, instead of a range that does not fit.
                    headers.extend(etag.map(|etag| (IF_RANGE, etag)));
                    headers.contains_key(RANGE) && headers.contains_key(IF_RANGE)
                }
                None => false,
            };
            let response = self.connection.send(&self.report.url, request, Arc::default()).await?;
            let location =
                response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            match (response.status().as_u16(), location) {
                (301 | 302 | 303 | 307 | 308, Some(location)) => {
                    self.report.url = self.report.url.join(location)?;
                    // Read to its end, so that the connection can be kept.
                    self.connection.text(response.into_body()).await?;
                }
                _ => return Ok((response, is_resuming)),
            }
        }
        Err(HttpFailure::Final(format!("it is redirected more than {REDIRECTIONS_MAX} times")))
    }

    /// Returns what is known of the part that an answer may go on with.
    fn resumed(&self, is_resuming: bool) -> Option<Resumed<'_>> {
        let part = self.part.as_ref().filter(|_| is_resuming)?;
        let PartVersion { etag, total, .. } = part.version()?;
        Some(Resumed { there: part.size(), etag, total: *total })
    }

    /// Makes ready for the body, behind what is there or from the start. Returns the size of the
    /// part once the body is there, if that is known.
    fn begin(
        &mut self,
        reception: Reception,
        digest: Option<Digest>,
    ) -> Result<Option<u64>, Unusable> {
        let is_same =
            |known: Option<Digest>| known.is_none() || digest.is_none() || known == digest;
        match reception {
            Reception::Next { end, total } if is_same(self.expected) => {
                self.expected = self.expected.or(digest);
                if let Some(part) = &mut self.part {
                    part.note_total(total);
                }
                self.total = total;
                Ok(Some(end))
            }
            Reception::Whole { etag, total } => {
                let url = self.report.url.to_string();
                let mut version = etag.map(|etag| PartVersion { etag, url, total });
                if let (Some(version), Some(named)) = (&mut version, &self.named)
                    && (&version.etag, &version.url) == (&named.etag, &named.url)
                {
                    version.total = version.total.or(named.total);
                    // One version of two sizes: nobody knows which is whole.
                    if version.total != named.total {
                        return self.anew(Misfit::OtherTotal);
                    }
                }
                let total = version.as_ref().map_or(total, |version| version.total);
                if let Some(version) = version.as_ref().filter(|version| version.total.is_some()) {
                    self.named = Some(version.clone());
                }
                self.restart(version)?;
                (self.expected, self.total) = (digest, total);
                Ok(total)
            }
            // The digest is of the whole file, so it is the same as long as the version is.
            Reception::Next { .. } => self.anew(Misfit::OtherVersion),
            Reception::Anew(misfit) => self.anew(misfit),
            // What a redirection led to may be gone where the redirection itself is not.
            Reception::Gone if self.report.url != self.asked => self.anew(Misfit::Gone),
            Reception::Wrong(misfit) => {
                Err(Unusable::Failed(HttpFailure::Final(format!("the server {misfit}"))))
            }
            Reception::NoFile => {
                let reason = "the server's answer is no file".to_owned();
                Err(Unusable::Failed(HttpFailure::Final(reason)))
            }
            Reception::Gone | Reception::Refused => Err(Unusable::Status),
        }
    }

    /// Forgets what is there, and the address that a redirection led to.
    fn anew(&mut self, misfit: Misfit) -> Result<Option<u64>, Unusable> {
        self.restart(None)?;
        self.report.url = self.asked.clone();
        Err(Unusable::Anew(misfit))
    }

    fn restart(&mut self, version: Option<PartVersion>) -> Result<(), HttpFailure> {
        let path = self.path();
        let part = match self.part.take() {
            Some(part) => part,
            None => PartialDownload::open(&path, false).map_err(local)?,
        };
        (self.expected, self.total) = (None, None);
        self.part.insert(part).restart(version).map_err(local)
    }

    /// Takes the body, which ends at `end` of the file if that is known.
    async fn receive(&mut self, mut body: Incoming, end: Option<u64>) -> Result<(), HttpFailure> {
        self.bar.set_length(self.total.unwrap_or(0));
        let (limit, total) = (self.size_max, self.total.or(end));
        let part = self.part.as_mut().expect("begin has opened it");
        self.bar.set_position(part.size());
        if total.is_some_and(|total| total > limit) {
            return Err(too_large(limit));
        }
        while let Some(piece) = self.connection.piece(&mut body).await? {
            let size = part.size() + piece.len() as u64;
            if size > limit {
                // Nothing of it will ever be of use.
                part.restart(None).map_err(local)?;
                return Err(too_large(limit));
            }
            if end.is_some_and(|end| size > end) {
                self.connection.close();
                part.restart(None).map_err(local)?;
                let reason = "the server sent more bytes than it said";
                return Err(HttpFailure::Passing(reason.to_owned()));
            }
            part.append(&piece).map_err(local)?;
            self.bar.set_position(size);
        }
        match end {
            Some(end) if part.size() < end => {
                self.connection.close();
                let reason = "the answer broke off: it is shorter than it said";
                Err(HttpFailure::Passing(reason.to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Returns true if some of the file is still to come.
    fn is_short(&self) -> bool {
        let size = self.part.as_ref().map_or(0, PartialDownload::size);
        self.total.is_some_and(|total| size < total)
    }

    /// Judges if the bytes that have come, now that they are all, are those that were sent.
    fn check(&mut self) -> Result<(), HttpFailure> {
        let (expected, total) = (self.expected, self.total);
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
            (None, Some(total)) if total == size => DigestCheck::Length,
            (None, _) => DigestCheck::None,
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
                let said = self.disposition.as_deref().and_then(names::safe);
                folder.join(
                    said.or_else(|| self.report.url.name()).unwrap_or_else(|| NAMELESS.to_owned()),
                )
            }
        }
    }
}

/// The reason why an answer's body is not taken.
enum Unusable {
    /// The next one may fit.
    Anew(Misfit),
    Failed(HttpFailure),
    /// Its status says why.
    Status,
}

impl From<HttpFailure> for Unusable {
    fn from(failure: HttpFailure) -> Self {
        Self::Failed(failure)
    }
}

fn too_large(limit: u64) -> HttpFailure {
    let limit = ByteSize::new(limit);
    HttpFailure::Final(format!("the file has more than {limit}; raise the limit with --max-size"))
}

/// Returns a failure of ours: another try would meet it too.
fn local(error: std::io::Error) -> HttpFailure {
    HttpFailure::Final(error.to_string())
}
