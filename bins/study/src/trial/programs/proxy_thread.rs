//! A proxy on a thread of its own, for one trial.

use anyhow::{Context, anyhow};
use jostle_proxy::{Control, Proxy, Summary};
use std::thread::JoinHandle;

/// A proxy that relays. Dropping it ends it.
pub(super) struct ProxyThread {
    control: Control,
    thread: Option<JoinHandle<Summary>>,
}

impl ProxyThread {
    /// Starts it.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(proxy: Proxy) -> anyhow::Result<Self> {
        let control = proxy.control();
        let thread = std::thread::Builder::new().name("proxy".into()).spawn(move || proxy.run());
        Ok(Self { control, thread: Some(thread.context("cannot start a thread")?) })
    }

    /// Lets it deliver what it holds, for two seconds at most, and returns its summary.
    ///
    /// # Errors
    /// When it has panicked.
    pub(super) fn finish(mut self) -> anyhow::Result<Summary> {
        self.join().expect("it is joined once").map_err(|_| anyhow!("the proxy has failed"))
    }

    fn join(&mut self) -> Option<std::thread::Result<Summary>> {
        self.control.stop();
        self.thread.take().map(JoinHandle::join)
    }
}

impl Drop for ProxyThread {
    fn drop(&mut self) {
        self.join();
    }
}
