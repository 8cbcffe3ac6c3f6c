//! The HTTP server of the API, on threads of its own.

use crate::connection;
use crate::context::Context;
use crate::course::Course;
use crate::guard::{Bodies, Guard};
use crate::places::Places;
use crate::registry::Registry;
use crate::routes;
use crate::settings::{Patience, ServerSettings};
use axum::Router;
use jostle_common::chance::fresh_seed;
use jostle_common::clock::Clock;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// The most requests that wait for the proxy at once.
const BLOCKING_THREADS: usize = 16;

/// The descriptors that no connection has: the listener, what the runtime waits on and is woken by,
/// and the connection that waits for a place.
const DESCRIPTORS_OWN: usize = 5;

/// The pause after an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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
        "the API cannot listen on {address}: whoever reaches it may change everything; add \
         --api-token, or write a loopback address"
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
    /// Answers on `address` from now on, as [`Self::start_with`] does without further settings.
    ///
    /// # Errors
    /// When the address is no loopback address, or taken.
    pub fn start(address: SocketAddr, registry: Arc<Registry>) -> Result<Self, ServerError> {
        Self::start_with(address, registry, ServerSettings::default())
    }

    /// Answers on `address` from now on; port 0 is one that the system picks. Changes wait until
    /// the proxy runs.
    ///
    /// # Errors
    /// When the address is no loopback address and there is no token, or when it is taken.
    pub fn start_with(
        address: SocketAddr,
        registry: Arc<Registry>,
        settings: ServerSettings,
    ) -> Result<Self, ServerError> {
        if !address.ip().to_canonical().is_loopback() && settings.token.is_none() {
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
        let ServerSettings { token, hosts, panel, patience, descriptors } = settings;
        // Sessions of other runs are over.
        let key: Vec<u8> = (0..3).flat_map(|_| fresh_seed().to_le_bytes()).collect();
        let guard = Guard::new(bound, &hosts, token, panel, &key);
        let connections = descriptors.max(ServerSettings::DESCRIPTORS_LEAST) - DESCRIPTORS_OWN;
        let bodies = Bodies { patience: patience.body };
        let context = Context::new(registry, guard, bodies, connections);
        // A page that is opened, or loaded anew, shows the minutes before.
        let history = panel.then(|| Arc::clone(&context.live));
        let router = routes::router(context);
        let thread = std::thread::Builder::new().name("api".into()).spawn(move || {
            let serving = serve(listener, router, Places::new(connections), patience);
            runtime.block_on(async {
                if let Some(live) = history {
                    live.keep_history();
                }
                tokio::select! {
                    () = serving => {}
                    _ = stopped => {}
                }
            });
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
    router: Router,
    places: Places,
    patience: Patience,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return log::error!("the API cannot start: {error}"),
    };
    let clock = Clock::start();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // One is accepted before it has a place, or nobody would know that it waits.
                let course = Course::new(clock);
                let place = places.take(&course).await;
                let router = router.clone();
                tokio::spawn(async move {
                    connection::serve(stream, router, course, patience).await;
                    drop(place);
                });
            }
            Err(error) => {
                log::debug!("the API cannot accept: {error}");
                pause().await;
            }
        }
    }
}

/// Waits before accepting again: the process may be out of descriptors.
#[expect(clippy::disallowed_methods, reason = "hyper runs on tokio, and so do its waits")]
async fn pause() {
    tokio::time::sleep(ACCEPT_PAUSE).await;
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
