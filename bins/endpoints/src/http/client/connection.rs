//! The connection: opened when needed, kept as long as the server keeps it, watched for progress.

#![expect(clippy::disallowed_methods, reason = "hyper runs on tokio, and so do its waits")]

use super::failure::HttpFailure;
use super::url::Url;
use crate::protocol::socks5::SocksTarget;
use crate::socks;
use crate::way::SocksProxy;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jostle_common::units::format_duration;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;

/// The body of a request.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

const PROGRAM: HeaderValue =
    HeaderValue::from_static(concat!("jostle/", env!("CARGO_PKG_VERSION")));
/// The largest head of an answer.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The number of bytes of a refusal's text that are read.
const SAID_BYTES_MAX: usize = 16 << 10;

/// The totals of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpClientTotals {
    /// Connections that were opened.
    pub connections: u64,
    /// Requests that were sent.
    pub requests: u64,
}

/// The connection to one server at a time.
#[derive(Debug)]
pub(super) struct HttpConnection {
    timeout: Duration,
    pub(super) proxy: Option<SocksProxy>,
    open: Option<(String, SendRequest<Counted>)>,
    pub(super) totals: HttpClientTotals,
}

impl HttpConnection {
    pub(super) const fn new(timeout: Duration) -> Self {
        let totals = HttpClientTotals { connections: 0, requests: 0 };
        Self { timeout, proxy: None, open: None, totals }
    }

    /// Sends a request, over the connection that is open if it leads there, and returns the head of
    /// the answer. `sent` is told how much of the body has gone out.
    pub(super) async fn send(
        &mut self,
        url: &Url,
        mut request: Request<Body>,
        sent: Arc<AtomicU64>,
    ) -> Result<Response<Incoming>, HttpFailure> {
        let (mut sender, is_kept) = self.sender(url).await?;
        let authority = HeaderValue::try_from(url.authority());
        let host = authority
            .map_err(|_| HttpFailure::Final(format!("\"{}\" is no host", url.authority())))?;
        request.headers_mut().insert(HOST, host);
        request.headers_mut().insert(USER_AGENT, PROGRAM);
        self.totals.requests += 1;
        let counted = request.map(|inner| Counted { inner, sent: sent.clone() });
        let mut answer = pin!(sender.send_request(counted));
        let response = loop {
            let before = sent.load(Ordering::Relaxed);
            match tokio::time::timeout(self.timeout, answer.as_mut()).await {
                Ok(Ok(response)) => break response,
                Ok(Err(error)) => {
                    let reason = format!("no answer from {}: {}", url.authority(), cause(&error));
                    // An answer that makes no sense was one.
                    let is_stale = is_kept && !error.is_parse();
                    return Err(if is_stale {
                        HttpFailure::Stale(reason)
                    } else {
                        HttpFailure::Passing(reason)
                    });
                }
                // The body moves: the answer may take its time.
                Err(_) if sent.load(Ordering::Relaxed) > before => {}
                Err(_) => return Err(self.silent("no answer")),
            }
        };
        self.open = Some((url.authority(), sender));
        Ok(response)
    }

    /// Returns the next piece of an answer's body; `None` at its end.
    pub(super) async fn piece(
        &mut self,
        body: &mut Incoming,
    ) -> Result<Option<Bytes>, HttpFailure> {
        loop {
            let Ok(frame) = tokio::time::timeout(self.timeout, body.frame()).await else {
                return Err(self.silent("the answer stands still"));
            };
            match frame {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some(piece));
                    }
                }
                Some(Err(error)) => {
                    self.close();
                    return Err(HttpFailure::Passing(format!(
                        "the answer broke off: {}",
                        cause(&error)
                    )));
                }
            }
        }
    }

    /// Returns the beginning of an answer's text; what is longer costs the connection.
    pub(super) async fn text(&mut self, mut body: Incoming) -> Result<String, HttpFailure> {
        let mut text = Vec::new();
        while let Some(piece) = self.piece(&mut body).await? {
            if text.len() + piece.len() > SAID_BYTES_MAX {
                self.close();
                break;
            }
            text.extend_from_slice(&piece);
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Gives the connection up.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    fn silent(&mut self, what: &str) -> HttpFailure {
        self.close();
        HttpFailure::Passing(format!("{what}: nothing moved for {}", format_duration(self.timeout)))
    }

    async fn connect(&self, url: &Url) -> io::Result<TcpStream> {
        let Some(proxy) = &self.proxy else { return TcpStream::connect(url.host()).await };
        let (host, port) = url.host();
        let target = SocksTarget { host: host.to_owned(), port };
        socks::connect(proxy, target).await
    }

    /// Returns the connection to send on, and true if it was there before.
    async fn sender(&mut self, url: &Url) -> Result<(SendRequest<Counted>, bool), HttpFailure> {
        if let Some((authority, mut sender)) = self.open.take()
            && authority == url.authority()
            && tokio::time::timeout(self.timeout, sender.ready())
                .await
                .is_ok_and(|ready| ready.is_ok())
        {
            return Ok((sender, true));
        }
        let failed = |error: &dyn std::fmt::Display| {
            HttpFailure::Passing(format!("cannot connect to {}: {error}", url.authority()))
        };
        let stream = match tokio::time::timeout(self.timeout, self.connect(url)).await {
            Ok(stream) => stream.map_err(|error| failed(&error))?,
            Err(_) => {
                return Err(failed(&format!("no answer for {}", format_duration(self.timeout))));
            }
        };
        // What the system refuses is done without.
        let _ = stream.set_nodelay(true);
        self.totals.connections += 1;
        let shaken = http1::Builder::new()
            .max_header_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, connection) = shaken.map_err(|error| failed(&error))?;
        tokio::spawn(async move {
            // What goes wrong is told where the answer is waited for.
            let _ = connection.await;
        });
        Ok((sender, false))
    }
}

/// Returns the causes of an error of hyper's as one text.
fn cause(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

/// A body whose progress can be seen from outside.
pub(super) struct Counted {
    inner: Body,
    sent: Arc<AtomicU64>,
}

impl hyper::body::Body for Counted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(task);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            self.sent.fetch_add(frame.data_ref().map_or(0, Bytes::len) as u64, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
