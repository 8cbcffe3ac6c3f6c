//! The HTTP server of the API, on threads of its own.

use crate::context::Context;
use crate::registry::Registry;
use crate::routes;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// The most requests that wait for the proxy at once.
const BLOCKING_THREADS: usize = 16;

/// A running API. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The reason why the API did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It cannot listen.
    #[error("the API cannot listen on {address}: {cause}; choose another address with --api")]
    Listen {
        /// The address that it was to listen on.
        address: SocketAddr,
        /// The system's error.
        cause: io::Error,
    },
    /// Anyone could reach it.
    #[error(
        "the API cannot listen on {address}: whoever reaches it may change everything, and it knows \
         no password; write a loopback address"
    )]
    Open {
        /// The address that it was to listen on.
        address: SocketAddr,
    },
    /// Its threads could not be started.
    #[error("the API cannot start: {0}")]
    Start(#[from] io::Error),
}

impl Server {
    /// Answers on `address` from now on; port 0 is one that the system picks. Changes wait until
    /// the proxy runs.
    ///
    /// # Errors
    /// When the address is no loopback address, or taken.
    pub fn start(address: SocketAddr, registry: Arc<Registry>) -> Result<Self, ServerError> {
        if !address.ip().is_loopback() {
            return Err(ServerError::Open { address });
        }
        let listener = std::net::TcpListener::bind(address)
            .map_err(|cause| ServerError::Listen { address, cause })?;
        listener.set_nonblocking(true)?;
        let bound = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("api")
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("api".into()).spawn(move || {
            runtime.block_on(serve(listener, registry, stopped));
            // What still waits for something is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { address: bound, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns the address that it answers on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(
    listener: std::net::TcpListener,
    registry: Arc<Registry>,
    stopped: oneshot::Receiver<()>,
) {
    let router = routes::router(Context::new(registry));
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return log::error!("the API cannot start: {error}"),
    };
    let serving = axum::serve(listener, router);
    tokio::select! {
        ended = serving => {
            if let Err(error) = ended {
                log::error!("the API has ended: {error}");
            }
        }
        _ = stopped => {}
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the API's thread panicked");
        }
    }
}
