//! A capture of both sides of the box, as pcapng.
//!
//! The relays have no packets but sockets, so the headers are made up: with the addresses of the
//! sockets, with checksums that are right, and on TCP with the segments of the model. Each packet
//! is on the side where it came in, with a comment that says which it is and what became of it, and
//! if it was delivered on the other side, when it left.
//!
//! The loop writes notes into chunks (`sink`), which wait for a thread in a bounded queue. There
//! they become frames (`translator`, `conversation`, `headers`), are put in the order of their
//! times (`order`), and are written (`file`). What found no room is counted.

mod conversation;
mod file;
mod headers;
mod mirror;
mod note;
mod order;
mod sink;
mod translator;

pub use file::CaptureFiles;

use crate::sinks::Sink;
use file::Writer;
use note::Chunk;
use order::Order;
use sink::{CaptureSink, Shared};
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;
use translator::Translator;

/// The most chunks that wait for the writer: 16 MiB and 64 thousand notes.
const CHUNKS_MAX: usize = 64;

/// The silence after which what waits for no fate is written.
const IDLE: Duration = Duration::from_millis(50);

/// The time that the end of a run waits for the writer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A capture that is being written.
#[derive(Debug)]
pub struct Capture {
    shared: Arc<Shared>,
    /// Says how it ended.
    ended: Receiver<Option<String>>,
}

/// What became of a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaptureEnd {
    /// Packets that are not in it.
    pub lost: u64,
    /// The reason why writing ended early.
    pub error: Option<String>,
}

impl Capture {
    /// Starts a capture, and returns the sink that is to be told. The `first` file is emptied when
    /// the run begins.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(files: CaptureFiles, first: File) -> io::Result<(Self, Box<dyn Sink>)> {
        let (queue, chunks) = mpsc::sync_channel(CHUNKS_MAX);
        let (end, ended) = mpsc::sync_channel(1);
        let shared = Arc::new(Shared::default());
        let told = Arc::clone(&shared);
        std::thread::Builder::new().name("capture".into()).spawn(move || {
            let error = write(files, first, &chunks, &told).err().map(|error| error.to_string());
            if let Some(error) = &error {
                log::error!("the capture ends here, it cannot be written: {error}");
                // What still comes is lost.
                drop(chunks);
            }
            let _ = end.send(error);
        })?;
        let sink = CaptureSink::new(queue, Arc::clone(&shared));
        Ok((Self { shared, ended }, Box::new(sink)))
    }

    /// Waits for the writer, for five seconds at most, and returns what became of the capture. The
    /// proxy has ended.
    pub fn finish(self) -> CaptureEnd {
        let error = self.ended.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            log::error!("the capture ends here, the file takes nothing any more");
            Some("the file takes nothing any more".to_owned())
        });
        CaptureEnd { lost: self.shared.lost.load(Ordering::Relaxed), error }
    }
}

/// Writes what comes until the sink is gone.
fn write(
    files: CaptureFiles,
    first: File,
    chunks: &Receiver<Chunk>,
    shared: &Shared,
) -> io::Result<()> {
    // Nothing is changed before the run has begun.
    let Ok(mut next) = chunks.recv() else { return Ok(()) };
    first.set_len(0)?;
    let epoch = Duration::from_nanos(shared.epoch.load(Ordering::Relaxed));
    let mut writer = Writer::begin(files, first, epoch)?;
    let (mut translator, mut order) = (Translator::default(), Order::default());
    let lost = || shared.lost.load(Ordering::Relaxed);
    let result = loop {
        let missing = translator.take(&next, &mut order);
        shared.lost.fetch_add(missing, Ordering::Relaxed);
        let mut written = drain(&mut order, &mut writer, false, lost());
        let more = loop {
            written = written.and_then(|()| writer.flush());
            if written.is_err() {
                break Err(RecvTimeoutError::Disconnected);
            }
            match chunks.recv_timeout(IDLE) {
                Err(RecvTimeoutError::Timeout) => {
                    written = drain(&mut order, &mut writer, true, lost());
                }
                more => break more,
            }
        };
        match more {
            Ok(chunk) => next = chunk,
            Err(_) => break written,
        }
    };
    let result = result.and_then(|()| {
        translator.finish(&mut order);
        while let Some(record) = order.pop() {
            writer.write(&record, lost())?;
        }
        writer.finish(lost())
    });
    let left = std::iter::from_fn(|| order.pop()).count() as u64;
    shared.lost.fetch_add(left, Ordering::Relaxed);
    result
}

fn drain(order: &mut Order, writer: &mut Writer, is_idle: bool, lost: u64) -> io::Result<()> {
    while let Some(record) = order.next(is_idle) {
        writer.write(&record, lost)?;
    }
    Ok(())
}
