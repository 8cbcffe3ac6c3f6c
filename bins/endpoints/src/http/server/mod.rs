//! The HTTP server: files below a root folder, uploads into another, on hyper and several threads.
//!
//! What is decided without a socket is in files of its own, as functions of values: `target`,
//! `range`, `conditions`, `same_site`, and [`super::pace`].

mod accept;
mod answer;
mod caught;
pub mod command;
mod conditions;
mod connection;
mod counts;
mod digests;
mod handler;
mod listing;
mod pages;
mod range;
mod root;
mod same_site;
mod served_file;
mod settings;
mod site;
mod target;
mod upload;
mod watched;

pub use counts::Totals;
pub use handler::{Answering, Body, Event, Exchange, Handler};
pub use settings::{Limits, Settings};

use super::blocking;
use handler::Context;
use jostle_console::stop::Stop;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// How long answers under way may take after the request to stop.
const DRAIN: Duration = Duration::from_secs(2);

/// A server with its listener and its threads.
#[derive(Debug)]
pub struct Server {
    runtime: Runtime,
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
    remarks: Vec<String>,
    handler: Arc<dyn Handler>,
}

impl Server {
    /// A server of files; port 0 lets the system pick one.
    ///
    /// # Errors
    /// When the address cannot be taken, or a folder not be opened; the error names it.
    pub fn bind(listen: SocketAddr, settings: &Settings) -> anyhow::Result<Self> {
        let site = site::Site::open(settings)?;
        let remarks = site.remarks();
        let server = Self::bind_handler(listen, settings.limits, Arc::new(site))?;
        Ok(Self { remarks, ..server })
    }

    /// A server that answers with `handler`.
    ///
    /// # Errors
    /// When the address cannot be taken, or no thread be started.
    pub fn bind_handler(
        listen: SocketAddr,
        limits: Limits,
        handler: Arc<dyn Handler>,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(limits.threads)
            .max_blocking_threads(settings::FILE_THREADS_MAX)
            .thread_name("http")
            .enable_all()
            .build()?;
        let _inside = runtime.enter();
        let listener = accept::listen(listen)?;
        let address = listener.local_addr()?;
        drop(_inside);
        Ok(Self { runtime, listener, address, limits, remarks: Vec::new(), handler })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the user should know about how it serves.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Serves until `stop` is requested, or until the first connection has ended when the limits
    /// say so. `on_event` is told of each answer and each stored file; it is called on the server's
    /// threads and must not wait.
    pub fn run(self, stop: &Stop, on_event: impl Fn(Event) + Send + Sync + 'static) -> Totals {
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
        context.counts.totals()
    }
}
