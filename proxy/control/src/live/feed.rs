//! What one who watches is sent: the configuration, what happened, and what happens.

use super::hub::Watcher;
use super::stream;
use crate::context::Context;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

/// Answers with events without end.
pub(super) async fn live(State(context): State<Context>) -> Response {
    let live = Arc::clone(&context.live);
    let Some(watcher) = live.watch() else { return stream::too_many(live.watchers_max) };
    let looked = Arc::clone(&live);
    // Somebody may be changing it.
    let looked = tokio::task::spawn_blocking(move || looked.look_at_state()).await;
    if looked.is_err() {
        log::error!("the configuration could not be read");
    }
    let (events, response) = stream::channel();
    tokio::spawn(follow(watcher, events));
    response
}

/// Passes events on until the client has gone, or the proxy has ended.
async fn follow(mut watcher: Watcher, events: mpsc::Sender<Bytes>) {
    let state = watcher.state.borrow_and_update().clone();
    let history = std::mem::take(&mut watcher.history);
    let mut next = vec![history, state];
    loop {
        while let Some(event) = next.pop() {
            if events.send(event).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = events.closed() => return,
            changed = watcher.state.changed() => {
                if changed.is_err() {
                    return;
                }
                next.push(watcher.state.borrow_and_update().clone());
            }
            second = watcher.seconds.recv() => match second {
                Ok(second) => next.push(second),
                Err(RecvError::Lagged(missed)) => {
                    let lost = format!(r#"{{"lost":{missed}}}"#);
                    next.push(stream::event("lost", lost.as_bytes()));
                }
                Err(RecvError::Closed) => return,
            },
        }
    }
}
