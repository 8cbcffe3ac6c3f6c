//! The files below a root folder, uploads into another, and the pages around them.
//!
//! What is decided without a socket is in files of its own, as functions of values: `target`,
//! `range`, `conditions`, `version`, `hosts`, `same_site`, and [`super::pace`].

mod answer;
pub mod command;
mod conditions;
mod digests;
mod hosts;
mod listing;
mod pages;
mod range;
mod refusal;
mod root;
mod same_site;
mod served_file;
mod settings;
mod target;
mod upload;
mod version;

pub use settings::SiteSettings;

use super::blocking;
use super::server::{Answering, Body, Exchange, Handler, HttpServer};
use answer::{page, text};
use anyhow::Context as _;
use digests::Digests;
use hosts::Hosts;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, LOCATION};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use pages::UPLOAD_PATH;
use refusal::Refusal;
use root::{Root, RootEntry};
use std::fs::{File, Metadata};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use target::{RequestTarget, Wrong};
use upload::Uploads;

const INDEX: &[u8] = b"index.html";
/// The policy of what anyone may have sent: it runs nothing, and is of no site.
const SANDBOX: HeaderValue = HeaderValue::from_static("sandbox");
/// Paths of ours, which no file can have.
const OURS: &[u8] = b"_jostle";

/// The files, the uploads and the pages of a server.
#[derive(Debug)]
pub struct Site {
    root: Arc<Root>,
    digests: Digests,
    uploads: Option<Uploads>,
    hosts: Hosts,
    listing: bool,
}

impl Site {
    /// Opens the folders. The one for uploads is made if need be.
    ///
    /// # Errors
    /// When a folder cannot be opened; the error names it.
    pub fn open(settings: &SiteSettings) -> anyhow::Result<Self> {
        let root = Root::open(&settings.root)
            .with_context(|| format!("cannot serve {}", settings.root.display()))?;
        let uploads = settings
            .uploads
            .as_deref()
            .map(|folder| Uploads::open(folder, settings))
            .transpose()?;
        Ok(Self {
            root: Arc::new(root),
            digests: Digests::default(),
            uploads,
            hosts: Hosts::new(&settings.hosts, machine_name().as_deref()),
            listing: settings.listing,
        })
    }

    /// Returns remarks for the user about how it serves.
    pub fn remarks(&self) -> Vec<String> {
        let links = "this system cannot hold links below the root (openat2, Linux 5.6), so no \
                     symbolic link is followed";
        (!self.root.follows_links()).then(|| links.to_owned()).into_iter().collect()
    }

    async fn respond(
        &self,
        request: Request<Incoming>,
        exchange: &Exchange,
    ) -> Result<Response<Body>, Refusal> {
        // CONNECT names whom to connect to, which nobody here does.
        let target = request.uri().authority().filter(|_| request.method() != Method::CONNECT);
        self.hosts
            .check(target.map(|authority| authority.as_str()), request.headers())
            .map_err(|reason| Refusal::new(StatusCode::MISDIRECTED_REQUEST, reason).closing())?;
        match (request.method(), &self.uploads) {
            (&Method::GET | &Method::HEAD, _) => self.show(&request.into_parts().0, exchange).await,
            (&Method::POST | &Method::PUT, Some(uploads)) => {
                uploads.accept(request, exchange).await
            }
            (&Method::OPTIONS, _) => {
                let mut response = answer::empty(StatusCode::NO_CONTENT);
                response.headers_mut().insert(ALLOW, self.allowed());
                Ok(response)
            }
            (&Method::POST | &Method::PUT, None) => {
                let reason = "this server takes no uploads; start it with --uploads DIR";
                Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, reason)
                    .with(ALLOW, self.allowed()))
            }
            (method, _) => {
                let reason = format!("{method} does nothing here");
                Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, reason)
                    .with(ALLOW, self.allowed()))
            }
        }
    }

    fn allowed(&self) -> HeaderValue {
        HeaderValue::from_static(match self.uploads {
            Some(_) => "GET, HEAD, OPTIONS, POST, PUT",
            None => "GET, HEAD, OPTIONS",
        })
    }

    async fn show(&self, request: &Parts, exchange: &Exchange) -> Result<Response<Body>, Refusal> {
        let target = RequestTarget::parse(request.uri.path()).map_err(|wrong| match wrong {
            Wrong::Malformed => Refusal::new(StatusCode::BAD_REQUEST, "this is not a path"),
            Wrong::TooLong => Refusal::new(StatusCode::URI_TOO_LONG, "no file has so long a path"),
            Wrong::Hidden => Refusal::new(StatusCode::NOT_FOUND, "there is no such file here"),
        })?;
        if target.segments.first().is_some_and(|name| name == OURS) {
            return self.own_page(request, &target);
        }
        let (root, names) = (self.root.clone(), target.segments.clone());
        match blocking(move || root.find(&names)).await? {
            // file/ is no file.
            RootEntry::File(..) if target.is_folder => {
                Err(io::Error::from(rustix::io::Errno::NOTDIR).into())
            }
            RootEntry::File(file, metadata) => {
                self.show_file(request, exchange, file, &metadata, &target.segments).await
            }
            RootEntry::Folder(_) if !target.is_folder => Ok(redirect(request, &target)),
            RootEntry::Folder(folder) => {
                let (root, mut names) = (self.root.clone(), target.segments.clone());
                names.push(INDEX.to_vec());
                match blocking(move || root.find(&names)).await {
                    Ok(RootEntry::File(file, metadata)) => {
                        let mut names = target.segments.clone();
                        names.push(INDEX.to_vec());
                        self.show_file(request, exchange, file, &metadata, &names).await
                    }
                    _ => self.show_folder(request, &target, folder).await,
                }
            }
        }
    }

    /// Answers with an open file, found by these names.
    async fn show_file(
        &self,
        request: &Parts,
        exchange: &Exchange,
        file: File,
        metadata: &Metadata,
        names: &[Vec<u8>],
    ) -> Result<Response<Body>, Refusal> {
        let name = names.last().map_or(&[][..], Vec::as_slice);
        let is_upload = self.uploads.as_ref().is_some_and(|uploads| uploads.holds(&file, names));
        let mut response =
            served_file::serve(request, file, metadata, name, &self.digests, exchange).await?;
        if is_upload {
            // Anyone may have sent it: a page among the uploads must not speak as one of ours.
            response.headers_mut().insert(CONTENT_SECURITY_POLICY, SANDBOX);
        }
        Ok(response)
    }

    /// Answers with a folder that has no index.
    async fn show_folder(
        &self,
        request: &Parts,
        target: &RequestTarget,
        folder: std::os::fd::OwnedFd,
    ) -> Result<Response<Body>, Refusal> {
        let html = answer::wants_html(&request.headers);
        let has_uploads = self.uploads.is_some();
        if self.listing {
            let (root, target) = (self.root.clone(), target.clone());
            let listed = blocking(move || listing::read(&root, &target, &folder)).await?;
            return Ok(match html {
                true => page(StatusCode::OK, listing::page(&listed, has_uploads)),
                false => text(StatusCode::OK, listing::text(&listed)),
            });
        }
        match target.segments.is_empty() {
            true if html => Ok(page(StatusCode::OK, pages::working(has_uploads))),
            true => Ok(text(StatusCode::OK, pages::WORKING.to_owned() + "\n")),
            false => Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "this folder has no index.html, and is not listed",
            )),
        }
    }

    fn own_page(&self, request: &Parts, target: &RequestTarget) -> Result<Response<Body>, Refusal> {
        let is_upload = target.path(false) == UPLOAD_PATH;
        match &self.uploads {
            Some(uploads) if is_upload && answer::wants_html(&request.headers) => {
                Ok(page(StatusCode::OK, pages::upload(uploads.limit())))
            }
            Some(_) if is_upload => Ok(text(
                StatusCode::OK,
                "POST a form or a file here, or PUT it as /NAME\n".to_owned(),
            )),
            None if is_upload => {
                let reason = "this server takes no uploads; start it with --uploads DIR";
                Err(Refusal::new(StatusCode::NOT_FOUND, reason))
            }
            _ => Err(Refusal::new(StatusCode::NOT_FOUND, "there is no such page")),
        }
    }
}

impl Handler for Site {
    fn answer(self: Arc<Self>, request: Request<Incoming>, exchange: Exchange) -> Answering {
        Box::pin(async move {
            let html = answer::wants_html(request.headers());
            self.respond(request, &exchange).await.unwrap_or_else(|refusal| refused(refusal, html))
        })
    }

    fn failure(&self, headers: &HeaderMap) -> Response<Body> {
        refused(Refusal::failure(), answer::wants_html(headers))
    }
}

/// Returns the answer that tells of a refusal, as a page or as a line of text.
fn refused(refusal: Refusal, html: bool) -> Response<Body> {
    let Refusal { status, reason, headers } = refusal;
    let mut response = if html {
        page(status, pages::refusal(status, &reason))
    } else {
        let name = status.canonical_reason().unwrap_or_default();
        text(status, format!("{} {name}: {reason}\n", status.as_u16()))
    };
    response.headers_mut().extend(headers);
    response
}

/// Listens on `listen` with a site, and returns the server and what the user should know about how
/// it serves; port 0 lets the system pick one.
///
/// # Errors
/// When the address cannot be taken, or a folder not be opened; the error names it.
pub fn serve(
    listen: SocketAddr,
    settings: &SiteSettings,
) -> anyhow::Result<(HttpServer, Vec<String>)> {
    let site = Site::open(settings)?;
    let remarks = site.remarks();
    Ok((HttpServer::bind(listen, settings.limits, Arc::new(site))?, remarks))
}

/// Returns the name that the system gives this machine, where there is a file that says it.
fn machine_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty() && name != "(none)")
}

/// Redirects to a folder's path with a slash, without which the links in its page lead astray.
fn redirect(request: &Parts, target: &RequestTarget) -> Response<Body> {
    let query = request.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = HeaderValue::try_from(format!("{}{query}", target.path(true)));
    let mut response = answer::empty(StatusCode::MOVED_PERMANENTLY);
    response.headers_mut().extend(location.map(|location| (LOCATION, location)));
    response
}
