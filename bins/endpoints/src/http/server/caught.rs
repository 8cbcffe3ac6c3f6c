//! A future whose panic is a value: one broken answer must not end the connections of others.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// Returns the result of the future, or the text of its panic.
pub(super) async fn caught<T>(
    mut future: Pin<Box<dyn Future<Output = T> + Send>>,
) -> Result<T, String> {
    poll_fn(|task| {
        // The future is never polled again after a panic, so what it left half done is never seen.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(task))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(message(panic.as_ref()))),
        }
    })
    .await
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it panicked")
        .to_owned()
}
