//! The handler that answers a request, and the context that answers share.

use super::counts::HttpCounts;
use super::limits::Limits;
use super::peer_watch::PeerWatch;
use crate::http::read_ahead::ReadAhead;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Request, Response, StatusCode};
use jostle_common::clock::Clock;
use jostle_common::digest::Digest;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// An answer that is being made.
pub type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// Answers requests.
pub trait Handler: fmt::Debug + Send + Sync {
    /// Answers one. A panic becomes what [`Self::failure`] says, and the server lives on.
    fn answer(self: Arc<Self>, request: Request<Incoming>, exchange: Exchange) -> Answering;

    /// Returns the answer to a request with these headers when something inside went wrong.
    fn failure(&self, headers: &HeaderMap) -> Response<Body> {
        let _ = headers;
        let text = "500 Internal Server Error\n";
        let body = Full::new(Bytes::from_static(text.as_bytes()));
        let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    }
}

/// The facts that an answer may know besides its request.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The address of the client.
    pub peer: SocketAddr,
    /// The context that all connections share.
    pub(in crate::http) context: Arc<Context>,
    /// The client, as long as it waits.
    pub(in crate::http) watch: PeerWatch,
}

/// An event that a user of the server may want to know.
#[derive(Clone, Debug)]
pub enum HttpEvent {
    /// An answer was given, or broke off.
    Answered {
        /// The address of the client.
        peer: SocketAddr,
        /// The method of the request.
        method: String,
        /// The target of the request; not to be printed without escaping.
        target: String,
        /// The status of the answer.
        status: u16,
        /// The number of bytes of the answer's body that were given to the connection.
        bytes: u64,
    },
    /// An upload was stored.
    Stored {
        /// The address of the sender.
        peer: SocketAddr,
        /// The name it got.
        name: String,
        /// Its size in bytes.
        size: u64,
        /// Its digest.
        digest: Digest,
    },
}

/// The context that all connections share.
pub(in crate::http) struct Context {
    pub(in crate::http) limits: Limits,
    pub(in crate::http) clock: Clock,
    pub(in crate::http) read_ahead: Arc<ReadAhead>,
    pub(in crate::http) counts: HttpCounts,
    pub(in crate::http) handler: Arc<dyn Handler>,
    pub(in crate::http) on_event: OnEvent,
}

pub(in crate::http) type OnEvent = Box<dyn Fn(HttpEvent) + Send + Sync>;

impl Context {
    pub(in crate::http) fn new(
        limits: Limits,
        handler: Arc<dyn Handler>,
        on_event: OnEvent,
    ) -> Self {
        let read_ahead = Arc::new(ReadAhead::new(limits.read_ahead_bytes));
        let (clock, counts) = (Clock::start(), HttpCounts::default());
        Self { limits, clock, read_ahead, counts, handler, on_event }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("limits", &self.limits)
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}
