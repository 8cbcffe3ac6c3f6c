//! Writes a file of lines on a thread of its own, behind a bounded queue: when the disk does not
//! keep up, or a pipe is not read, whoever has lines is told that there is no room, and waits for
//! nothing.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The time that the end of a run waits for the writer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The time until a writer that takes nothing at the moment is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// What became of a file in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpoolEnd {
    /// Whole lines that were written.
    pub written: u64,
    /// The reason why writing ended early.
    pub error: Option<String>,
}

/// What the writer tells.
#[derive(Debug, Default)]
struct Progress {
    /// Lines written.
    written: AtomicU64,
    /// Set when the run is over: who cannot write now need not wait for better times.
    is_over: AtomicBool,
    error: OnceLock<String>,
}

/// A file of lines that is written on a thread of its own, from items of type `T`.
#[derive(Debug)]
pub struct Spool<T> {
    what: &'static str,
    queue: SyncSender<T>,
    progress: Arc<Progress>,
    /// Closed when the writer ends.
    ended: Receiver<()>,
}

impl<T: Send + 'static> Spool<T> {
    /// Starts the writer of `what`, in whose queue is `room` for so many items; `lines` makes whole
    /// lines of one, on the writer's thread. A file that says
    /// [`WouldBlock`](io::ErrorKind::WouldBlock), or [`NotConnected`](io::ErrorKind::NotConnected)
    /// while the run goes on, is tried again.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(
        what: &'static str,
        file: Box<dyn Write + Send>,
        room: usize,
        lines: impl FnMut(T) -> Vec<u8> + Send + 'static,
    ) -> io::Result<Self> {
        let (queue, items) = mpsc::sync_channel(room);
        let (alive, ended) = mpsc::sync_channel(0);
        let progress = Arc::new(Progress::default());
        let told = Arc::clone(&progress);
        std::thread::Builder::new().name(what.into()).spawn(move || {
            write_items(what, file, &items, lines, &told);
            drop(alive);
        })?;
        Ok(Self { what, queue, progress, ended })
    }

    /// Hands an item to the writer.
    ///
    /// # Errors
    /// The item, when there is no room for it, or no writer any more.
    pub fn offer(&self, item: T) -> Result<(), TrySendError<T>> {
        self.queue.try_send(item)
    }

    /// Returns what has become of the file so far.
    pub fn progress(&self) -> SpoolEnd {
        let written = self.progress.written.load(Ordering::Acquire);
        SpoolEnd { written, error: self.progress.error.get().cloned() }
    }

    /// Waits for the writer, for two seconds at most, and returns what became of the file.
    pub fn finish(self) -> SpoolEnd {
        let Self { what, queue, progress, ended } = self;
        progress.is_over.store(true, Ordering::Release);
        // Without us the writer ends behind the last item.
        drop(queue);
        if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            log::error!("the {what} ends here, the file takes nothing any more");
        }
        let written = progress.written.load(Ordering::Acquire);
        SpoolEnd { written, error: progress.error.get().cloned() }
    }
}

/// Writes items until there are no more, or one cannot be written: a full disk stays full for the
/// next one.
fn write_items<T>(
    what: &str,
    mut file: Box<dyn Write + Send>,
    items: &Receiver<T>,
    mut lines: impl FnMut(T) -> Vec<u8>,
    Progress { written, is_over, error: reason }: &Progress,
) {
    for item in items {
        let bytes = lines(item);
        let (done, result) = write_counted(&mut file, &bytes, is_over);
        let whole = bytes[..done].iter().filter(|byte| **byte == b'\n').count() as u64;
        written.fetch_add(whole, Ordering::Release);
        if let Err(error) = result {
            log::error!("the {what} ends here, it cannot be written: {error}");
            // The only one to set it.
            let _ = reason.set(error.to_string());
            return;
        }
    }
}

/// Writes `bytes`, and returns how many were taken. What would block is tried again: a pipe that is
/// full, or that nobody has opened yet ([`NotConnected`](io::ErrorKind::NotConnected)), which at
/// the end of the run is not waited for.
fn write_counted(
    file: &mut impl Write,
    bytes: &[u8],
    is_over: &AtomicBool,
) -> (usize, io::Result<()>) {
    let mut done = 0;
    while done < bytes.len() {
        match file.write(&bytes[done..]) {
            Ok(0) => return (done, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => done += count,
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => std::thread::park_timeout(RETRY),
                io::ErrorKind::NotConnected if !is_over.load(Ordering::Acquire) => {
                    std::thread::park_timeout(RETRY);
                }
                _ => return (done, Err(error)),
            },
        }
    }
    (done, file.flush())
}
