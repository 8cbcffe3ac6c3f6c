//! One connection: its requests, one after the other, and a proper end.

#![expect(clippy::disallowed_methods, reason = "hyper runs on tokio, and so do its waits")]

use super::caught::caught;
use super::handler::{Body, Context, Exchange, HttpEvent};
use super::peer_watch::PeerWatch;
use super::places::Place;
use super::watched::{Activity, Expiry, WatchedConnection};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::header::{HeaderValue, SERVER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jostle_common::http1::BadRequest;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;

const HEADERS_MAX: usize = 100;
/// The bytes of a request's body that are read at once, and of an answer's that wait to be written.
const BUFFER_BYTES: usize = 16 << 10;
/// The time that a client that is still sending may take to read the answer that refuses it.
const LINGER: Duration = Duration::from_secs(2);
const TOO_SLOW: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
const PROGRAM: HeaderValue =
    HeaderValue::from_static(concat!("jostle/", env!("CARGO_PKG_VERSION")));

/// Serves a connection to its end, or until it has to leave its place to another.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    context: Arc<Context>,
    (course, place): (Arc<Activity>, &Place),
    mut is_stopping: watch::Receiver<bool>,
) {
    context.counts.connections.add(1);
    let stream = Arc::new(stream);
    let watched = WatchedConnection::new(stream.clone(), context.clone(), course.clone());
    let watch = PeerWatch::new(&stream);
    let exchange = Exchange { peer, context: context.clone(), watch };
    let service = service_fn(|request| {
        course.begin();
        Box::pin(respond(request, exchange.clone(), AnswerEnd(course.clone())))
    });
    let mut connection = http1::Builder::new()
        .half_close(true)
        .max_headers(HEADERS_MAX)
        .max_header_size(context.limits.head_bytes)
        // Nothing waits in front of the socket but a piece of the answer; a head must fit.
        .max_buf_size(context.limits.head_bytes.max(BUFFER_BYTES))
        // The watched connection bounds the heads itself, and tells the reasons apart.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(watched), service);
    let mut stop = pin!(is_stopping.wait_for(|stopping| *stopping));
    let mut leave = pin!(place.leave.notified());
    let (mut stopped, mut has_left) = (false, false);
    let result = poll_fn(|task| {
        // One that asks after all is answered.
        if !has_left && leave.as_mut().poll(task).is_ready() {
            has_left = course.idle().is_some();
            if has_left {
                return Poll::Ready(Ok(()));
            }
            leave.set(place.leave.notified());
        }
        if !stopped && stop.as_mut().poll(task).is_ready() {
            stopped = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        connection.poll_without_shutdown(task)
    });
    let result = result.await;
    let expired = connection.into_parts().io.into_inner().expired();
    if has_left {
        return;
    }
    match expired {
        Some(Expiry::Idle) => drop(context.counts.idle.add(1)),
        Some(Expiry::Head) => {
            context.counts.slow_heads.add(1);
            let _ = stream.try_write(TOO_SLOW);
        }
        Some(Expiry::Malformed(wrong)) => {
            context.counts.malformed.add(1);
            context.counts.status(wrong.status.as_u16());
            log::debug!("{peer}: {}", wrong.reason);
            let _ = stream.try_write(refusal(wrong).as_bytes());
        }
        Some(Expiry::Reader) => {
            context.counts.slow_readers.add(1);
            // A peer that does not read would not see a proper end either.
            let _ = socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
            return;
        }
        None => {
            if let Err(error) = result {
                log::debug!("{peer}: {error}");
                // Broken answers must not look whole: a reset says so where the length does not.
                if error.is_user() || error.is_body_write_aborted() {
                    let _ = socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
                    return;
                }
            }
        }
    }
    let _ = tokio::time::timeout(LINGER, linger(&stream)).await;
}

/// Returns the answer to what is no request, which no handler has seen.
fn refusal(wrong: BadRequest) -> String {
    let (status, reason) = (wrong.status, wrong.reason);
    let text = format!("{status}: {reason}\n");
    format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: text/plain\r\n\
         Content-Length: {}\r\n\r\n{text}",
        text.len()
    )
}

/// Ends our half, and waits for the other's end: closing over unread bytes is a reset, which may
/// overtake the answer.
async fn linger(stream: &TcpStream) {
    let mut sink = [0; 4096];
    if socket2::SockRef::from(stream).shutdown(Shutdown::Write).is_err() {
        return;
    }
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut sink) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return,
        }
    }
}

async fn respond(
    request: Request<Incoming>,
    exchange: Exchange,
    ended: AnswerEnd,
) -> Result<Response<Watching>, Infallible> {
    let context = exchange.context.clone();
    context.counts.requests.add(1);
    let asked =
        context.limits.log.then(|| (request.method().to_string(), request.uri().to_string()));
    let peer = exchange.peer;
    let (handler, headers) = (context.handler.clone(), request.headers().clone());
    let answering = caught(Box::pin(async move { handler.answer(request, exchange).await }));
    let mut response = answering.await.unwrap_or_else(|reason| {
        context.counts.panics.add(1);
        log::error!("an answer to {peer} failed: {reason}");
        context.handler.failure(&headers)
    });
    response.headers_mut().entry(SERVER).or_insert(PROGRAM);
    let status = response.status().as_u16();
    context.counts.status(status);
    Ok(response.map(|inner| Watching {
        inner,
        status,
        bytes: 0,
        asked,
        peer,
        context,
        _ended: ended,
    }))
}

/// Says that an answer has ended, when dropped.
struct AnswerEnd(Arc<Activity>);

impl Drop for AnswerEnd {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The body of an answer on its way, which is counted.
struct Watching {
    inner: Body,
    status: u16,
    bytes: u64,
    asked: Option<(String, String)>,
    peer: SocketAddr,
    context: Arc<Context>,
    _ended: AnswerEnd,
}

impl hyper::body::Body for Watching {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(task);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            self.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
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

impl Drop for Watching {
    fn drop(&mut self) {
        self.context.counts.bytes.add(self.bytes);
        if let Some((method, target)) = self.asked.take() {
            let Self { status, bytes, peer, .. } = *self;
            (self.context.on_event)(HttpEvent::Answered { peer, method, target, status, bytes });
        }
    }
}
