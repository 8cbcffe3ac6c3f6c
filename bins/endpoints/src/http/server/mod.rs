//! An HTTP server on hyper and several threads: connections, their limits and their proper end.
//!
//! It knows no page and no file: a [`Handler`] answers, such as [`super::site`].

mod accept;
mod caught;
mod connection;
mod counts;
mod handler;
mod limits;
mod peer_watch;
mod places;
mod watched;

pub(super) use handler::Context;

pub use counts::HttpTotals;
pub use handler::{Answering, Body, Exchange, Handler, HttpEvent};
pub use limits::Limits;

use crate::accept_errors::check_descriptors;
use jostle_console::stop::Stop;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// The time that answers under way may take after the request to stop.
const DRAIN: Duration = Duration::from_secs(2);

/// A server with its listener and its threads.
#[derive(Debug)]
pub struct HttpServer {
    runtime: Runtime,
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
    handler: Arc<dyn Handler>,
}

impl HttpServer {
    /// Listens on `listen`, and answers with `handler`; port 0 lets the system pick one.
    ///
    /// # Errors
    /// When the address cannot be taken, or no thread be started.
    pub fn bind(listen: SocketAddr, limits: Limits, handler: Arc<dyn Handler>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(limits.threads)
            .max_blocking_threads(limits::FILE_THREADS_MAX)
            .thread_name("http")
            .enable_all()
            .build()?;
        let _inside = runtime.enter();
        let listener = accept::listen(listen)?;
        let address = listener.local_addr()?;
        check_descriptors()?;
        drop(_inside);
        Ok(Self { runtime, listener, address, limits, handler })
    }

    /// Returns the address that it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is requested, or until the first connection has ended when the limits
    /// say so. `on_event` is told of each answer and each stored file; it is called on the server's
    /// threads and must not wait.
    pub fn run(
        self,
        stop: &Stop,
        on_event: impl Fn(HttpEvent) + Send + Sync + 'static,
    ) -> HttpTotals {
        let (stopping, is_stopping) = tokio::sync::watch::channel(false);
        let _attached = stop.attach_with(move || {
            stopping.send_replace(true);
        });
        let context = Arc::new(Context::new(self.limits, self.handler, Box::new(on_event)));
        self.runtime.block_on(async {
            let connections = accept::serve(self.listener, &context, is_stopping).await;
            connections.ended(DRAIN).await;
        });
        // What does not end by itself now is dropped where it stands: half an upload is removed.
        self.runtime.shutdown_timeout(Duration::from_millis(500));
        HttpTotals { read_ahead_full: context.read_ahead.full(), ..context.counts.totals() }
    }
}
