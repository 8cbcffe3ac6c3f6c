//! Uploads: a raw body or a browser's form, stored under a safe name when all of it has come.
//!
//! PUT names its file: a name that is taken is a conflict, unless what is there is the same. POST
//! leaves the name to the server, which counts up. Nothing is ever overwritten.

mod body;
mod form;
mod save;

use super::answer::{self, accepts, page, text};
use super::pages::{self, UPLOAD_PATH};
use super::refusal::Refusal;
use super::same_site;
use super::settings::SiteSettings;
use super::target::{RequestTarget, Wrong};
use crate::http::server::{Body, Exchange, HttpEvent};
use crate::http::{digest_field, disposition, names};
use crate::storage::{Quota, remove_stale_parts};
use anyhow::Context as _;
use body::PacedBody;
use hyper::body::{Body as _, Incoming};
use hyper::header::{
    CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderValue,
    LOCATION, TRANSFER_ENCODING,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Version};
use save::{Naming, StoreLimits, StoredUpload};
use serde_json::json;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

/// The folder of the uploads, and the rules for them.
#[derive(Debug)]
pub(super) struct Uploads {
    folder: PathBuf,
    limits: StoreLimits,
    /// The path under which the folder is served, if it is: the names below the root.
    served_as: Option<RequestTarget>,
}

impl Uploads {
    /// Opens the folder, which is made if need be.
    pub(super) fn open(folder: &Path, settings: &SiteSettings) -> anyhow::Result<Self> {
        let real = std::fs::create_dir_all(folder).and_then(|()| folder.canonicalize());
        let real = real.with_context(|| format!("cannot store uploads in {}", folder.display()))?;
        let root = settings.root.canonicalize()?;
        let served_as = real.strip_prefix(root).ok().and_then(|below| {
            let names: Vec<_> =
                below.iter().map(|name| names::encoded_bytes(name.as_encoded_bytes())).collect();
            RequestTarget::parse(&format!("/{}", names.join("/"))).ok()
        });
        remove_stale_parts(&real);
        let limits = StoreLimits {
            size_max: settings.limits.body_bytes,
            quota: Quota::new(settings.limits.stored_bytes),
        };
        Ok(Self { folder: real, limits, served_as })
    }

    /// Returns true if an open file, found by `names` below the root, may be an upload: it is in
    /// the folder, also when a link led there.
    pub(super) fn holds(&self, file: &File, names: &[Vec<u8>]) -> bool {
        let Some(served) = &self.served_as else { return false };
        let is_below = names.split_last().is_some_and(|(_, above)| served.segments == above);
        // Where the system does not say where a file is, no link is followed either.
        let path = Path::new("/proc/self/fd").join(file.as_raw_fd().to_string());
        is_below || path.read_link().is_ok_and(|path| path.parent() == Some(&self.folder))
    }

    /// Returns the largest upload, in bytes.
    pub(super) const fn limit(&self) -> u64 {
        self.limits.size_max
    }

    /// Stores what a POST or PUT brings.
    pub(super) async fn accept(
        &self,
        request: Request<Incoming>,
        exchange: &Exchange,
    ) -> Result<Response<Body>, Refusal> {
        let result = self.store(request, exchange).await;
        if result.is_err() {
            exchange.context.counts.unstored.add(1);
        }
        result
    }

    async fn store(
        &self,
        request: Request<Incoming>,
        exchange: &Exchange,
    ) -> Result<Response<Body>, Refusal> {
        let (head, incoming) = request.into_parts();
        let headers = &head.headers;
        same_site::check(headers).map_err(|reason| Refusal::new(StatusCode::FORBIDDEN, reason))?;
        // A server that ignored it would store the part as the whole file (RFC 9110, 14.5).
        if headers.contains_key(CONTENT_RANGE) {
            return Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "an upload is a whole file, without Content-Range",
            ));
        }
        if headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            return Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "files are stored as they come: send them without an encoding",
            ));
        }
        expect_length(&head)?;
        let boundary = form::boundary(headers)?;
        if boundary.is_some() && head.method == Method::PUT {
            let reason = "PUT brings one file as it is; a form is POSTed";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
        }
        let size = incoming.size_hint().exact();
        // The length of a form is that of all its parts and their heads.
        let around = if boundary.is_some() { form::AROUND_MAX } else { 0 };
        if size.is_some_and(|size| size > self.limit().saturating_add(around)) {
            return Err(Refusal::too_large(self.limit()));
        }
        let quota = &self.limits.quota;
        if size.is_some_and(|size| size > quota.room().saturating_add(around)) {
            return Err(quota.exceeded().into());
        }
        let (named, naming) = self.name(&head)?;
        // Before the body is read: a client that waits for 100 Continue need not send it.
        if naming == Naming::Exact {
            save::check_free(&self.folder, &named, size).await?;
        }
        let mut body = PacedBody::new(incoming, exchange.context.clone());
        let stored = match boundary {
            Some(boundary) => {
                form::save(&self.folder, &self.limits, body, boundary, |file| {
                    announce(exchange, file)
                })
                .await?
            }
            None => {
                let expected = digest_field::parse(headers);
                let file =
                    save::save(&self.folder, &self.limits, &named, naming, expected, &mut body)
                        .await?;
                announce(exchange, &file);
                vec![file]
            }
        };
        Ok(self.answer(headers, &stored))
    }

    /// Returns the name of a raw body, and how firmly it is meant.
    fn name(&self, head: &Parts) -> Result<(String, Naming), Refusal> {
        let path = head.uri.path();
        let bad = |reason: String| Refusal::new(StatusCode::BAD_REQUEST, reason);
        if head.method == Method::PUT {
            let target = RequestTarget::parse(path).map_err(|wrong| match wrong {
                Wrong::TooLong => {
                    Refusal::new(StatusCode::URI_TOO_LONG, "no file has so long a path")
                }
                _ => bad("this is not the path of an upload".to_owned()),
            })?;
            let above = target.segments.split_last().map_or(&[][..], |(_, above)| above);
            let is_ours = above.is_empty()
                || self.served_as.as_ref().is_some_and(|served| served.segments == above);
            let last = target.segments.last().and_then(|name| std::str::from_utf8(name).ok());
            return match last.filter(|_| is_ours && !target.is_folder) {
                Some(name) if names::safe(name).as_deref() == Some(name) => {
                    Ok((name.to_owned(), Naming::Exact))
                }
                Some(name) => {
                    let remedy = names::safe(name)
                        .map(|safe| format!("; PUT it as /{}", names::encoded(&safe)));
                    Err(bad(format!(
                        "this name is not safe to store{}",
                        remedy.unwrap_or_default()
                    )))
                }
                None => Err(bad("uploads have no folders; PUT it as /NAME".to_owned())),
            };
        }
        let said = head.headers.get(CONTENT_DISPOSITION);
        let said = said.and_then(|field| disposition::file_name(field.as_bytes()));
        let said = said.and_then(|name| names::safe(&name));
        let last = || {
            let target = RequestTarget::parse(path).ok().filter(|_| path != UPLOAD_PATH)?;
            std::str::from_utf8(target.segments.last()?).ok().and_then(names::safe)
        };
        Ok((said.or_else(last).unwrap_or_else(|| save::NAMELESS.to_owned()), Naming::Counted))
    }

    fn answer(&self, headers: &HeaderMap, stored: &[StoredUpload]) -> Response<Body> {
        let status = if stored.iter().any(|stored| stored.is_new) {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        let mut response = if accepts(headers, "application/json") {
            let files: Vec<_> = stored
                .iter()
                .map(|stored| {
                    json!({
                        "name": stored.name,
                        "size": stored.size,
                        "sha256": stored.digest,
                        "location": self.location(stored),
                    })
                })
                .collect();
            answer::full(status, "application/json", json!({ "files": files }).to_string() + "\n")
        } else if answer::wants_html(headers) {
            let files: Vec<_> = stored
                .iter()
                .map(|stored| (stored.name.clone(), stored.size, stored.digest.to_string()))
                .collect();
            page(status, pages::stored(&files))
        } else {
            text(
                status,
                stored
                    .iter()
                    .map(|StoredUpload { name, size, digest, .. }| {
                        format!("{name} {size} {digest}\n")
                    })
                    .collect(),
            )
        };
        if let ([one], StatusCode::CREATED) = (stored, status) {
            let location =
                self.location(one).and_then(|location| HeaderValue::try_from(location).ok());
            response.headers_mut().extend(location.map(|location| (LOCATION, location)));
        }
        response
    }

    /// Returns the path at which a stored file can be had, if it is served.
    fn location(&self, stored: &StoredUpload) -> Option<String> {
        let served = self.served_as.as_ref()?;
        Some(format!("{}{}", served.path(true), names::encoded(&stored.name)))
    }
}

/// Refuses an upload that does not say how long it is: it would be taken for an empty file.
fn expect_length(head: &Parts) -> Result<(), Refusal> {
    let fields = &head.headers;
    if fields.contains_key(CONTENT_LENGTH) || fields.contains_key(TRANSFER_ENCODING) {
        return Ok(());
    }
    // HTTP/1.0 ends a request's body in no other way (RFC 1945, section 7.2.2).
    let status = match head.version {
        Version::HTTP_10 => StatusCode::BAD_REQUEST,
        _ => StatusCode::LENGTH_REQUIRED,
    };
    let reason = "an upload needs a Content-Length, or comes in chunks";
    Err(Refusal::new(status, reason).closing())
}

/// Counts and tells that a file was stored: also the first of a form whose second breaks off.
fn announce(exchange: &Exchange, file: &StoredUpload) {
    if file.is_new {
        exchange.context.counts.stored.add(1);
        let (peer, name, size, digest) = (exchange.peer, file.name.clone(), file.size, file.digest);
        (exchange.context.on_event)(HttpEvent::Stored { peer, name, size, digest });
    }
}
