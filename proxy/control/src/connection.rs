//! One connection of the API: its requests, one after the other, and an end for a client that only
//! waits or makes wait.

#![expect(clippy::disallowed_methods, reason = "hyper runs on tokio, and so do its waits")]

use crate::course::Course;
use crate::settings::Patience;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::io;
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The largest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The time between two looks at how long the client makes wait.
const LOOK: Duration = Duration::from_secs(1);
/// The time that the end of an answer may take to a client that has to leave.
const FAREWELL: Duration = Duration::from_millis(100);
/// The time that a client that is still sending may take to read the answer that refuses it.
const LINGER: Duration = Duration::from_secs(2);

/// Serves a connection to its end.
pub(crate) async fn serve(stream: TcpStream, router: Router, course: Course, patience: Patience) {
    // Answers are short, and the next request may wait for this one.
    let _ = stream.set_nodelay(true);
    let stream = Arc::new(stream);
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        course.begins();
        request.extensions_mut().insert(course.clone());
        answer(request.map(Body::new), router.clone(), course.clone())
    });
    let watched = Watched { stream: Arc::clone(&stream), course: course.clone() };
    let connection = http1::Builder::new()
        // What it waits for is watched here, each wait with its own patience.
        .header_read_timeout(None)
        // Who sends and then ends its side, as nc does, wants its answer.
        .half_close(true)
        .max_header_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(watched), service);
    let mut connection = pin!(connection);
    loop {
        tokio::select! {
            _ = connection.as_mut() => break,
            () = course.is_to_leave() => {
                if course.is_idle() {
                    connection.as_mut().graceful_shutdown();
                    let _ = tokio::time::timeout(FAREWELL, connection).await;
                }
                return;
            }
            () = tokio::time::sleep(LOOK) => {
                course.sees_end(has_ended(&stream));
                if course.is_overdue(&patience) {
                    return;
                }
            }
        }
    }
    if course.has_unread() {
        tokio::select! {
            () = discard(&stream) => {}
            () = course.is_to_leave() => {}
            () = tokio::time::sleep(LINGER) => {}
        }
    }
}

/// Returns true if the client sends nothing more.
fn has_ended(stream: &TcpStream) -> bool {
    let mut byte = [MaybeUninit::uninit()];
    matches!(socket2::SockRef::from(stream).peek(&mut byte), Ok(0))
}

/// Asks the routes, and counts the answer as made when hyper has taken all of it.
async fn answer(
    request: Request,
    router: TowerToHyperService<Router>,
    course: Course,
) -> Result<Response, std::convert::Infallible> {
    let made = Made(course);
    let response = hyper::service::Service::call(&router, request).await?;
    Ok(response.map(|body| Body::new(Answer { body, _made: made })))
}

/// Notes when it is dropped that an answer is made.
struct Made(Course);

impl Drop for Made {
    fn drop(&mut self) {
        self.0.ends();
    }
}

/// The body of an answer.
struct Answer {
    body: Body,
    _made: Made,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(task)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Takes what still comes: a socket that is closed with something unread resets the connection, and
/// the client loses the answer.
async fn discard(stream: &TcpStream) {
    let mut buffer = [0; 4096];
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut buffer) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return,
        }
    }
}

/// A socket that notes whether its client sends and reads.
struct Watched {
    stream: Arc<TcpStream>,
    course: Course,
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(task))?;
            match self.stream.try_read(buffer.initialize_unfilled()) {
                Ok(count) => {
                    if count > 0 {
                        self.course.has_read();
                    }
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl Watched {
    fn poll_with(
        &self,
        task: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let Poll::Ready(ready) = self.stream.poll_write_ready(task) else {
                self.course.has_written(false);
                return Poll::Pending;
            };
            ready?;
            match write(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    self.course.has_written(true);
                    return Poll::Ready(result);
                }
            }
        }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(task, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(task, |stream| stream.try_write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // It may be closed already.
        let _ = socket2::SockRef::from(&*self.stream).shutdown(Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}
