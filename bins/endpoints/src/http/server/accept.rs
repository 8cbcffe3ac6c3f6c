//! Accepting connections, as many at once as the limits allow.

#![expect(clippy::disallowed_methods, reason = "hyper runs on tokio, and so do its waits")]

use super::connection;
use super::handler::Context;
use super::places::Places;
use super::watched::Activity;
use crate::accept_errors::AcceptErrors;
use crate::http::read_ahead::PIECE_LEAST;
use jostle_common::listening::CannotListen;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

/// Connections that may wait to be accepted; the system caps it (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;
/// The unsent data that the system holds for a connection. More would hide from us the peers that
/// do not read, and cost memory for each of them; what is on its way has the room that it needs.
const UNSENT_BYTES_MAX: u32 = PIECE_LEAST as u32;

/// Binds the listener. The error names its address.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    bind().map_err(|error| {
        let cause = CannotListen(&error);
        io::Error::new(error.kind(), format!("cannot listen on http://{address}: {cause}"))
    })
}

/// The connections that are still open.
pub(super) struct Connections(mpsc::Receiver<()>);

impl Connections {
    /// Waits until all have ended, at most for `most`.
    pub(super) async fn ended(mut self, most: Duration) {
        // Each connection holds a sender; the channel closes with the last.
        let _ = tokio::time::timeout(most, self.0.recv()).await;
    }
}

/// Accepts until asked to stop, or until the first connection has ended when the limits say so.
pub(super) async fn serve(
    listener: TcpListener,
    context: &Arc<Context>,
    mut is_stopping: watch::Receiver<bool>,
) -> Connections {
    let places = Places::new(context.limits.connections);
    let (open, connections) = mpsc::channel(1);
    let mut errors = AcceptErrors::default();
    loop {
        let accepted = async {
            let (stream, peer) = listener.accept().await?;
            // One is accepted before it has a place, or nobody would know that it waits.
            let activity = Arc::new(Activity::new(context.clock));
            let place = places.take(context, &activity).await;
            io::Result::Ok((stream, peer, activity, place))
        };
        let accepted = tokio::select! {
            biased;
            _ = is_stopping.wait_for(|stopping| *stopping) => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, peer, activity, place)) => {
                prepare(&stream);
                let once = context.limits.once;
                let (context, stop, open) = (context.clone(), is_stopping.clone(), open.clone());
                let serving = tokio::spawn(async move {
                    connection::serve(stream, peer, context, (activity, &place), stop).await;
                    drop((place, open));
                });
                if once {
                    tokio::select! {
                        _ = is_stopping.wait_for(|stopping| *stopping) => {}
                        _ = serving => {}
                    }
                    break;
                }
            }
            Err(error) => {
                if let Some(wait) = errors.judge(&error) {
                    context.counts.accept_paused.add(1);
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }
    Connections(connections)
}

fn prepare(stream: &tokio::net::TcpStream) {
    // What the system refuses is done without.
    let _ = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX);
    #[cfg(not(target_os = "linux"))]
    let _ = SockRef::from(stream).set_send_buffer_size(UNSENT_BYTES_MAX as usize);
}
