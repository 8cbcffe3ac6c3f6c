//! The output of a program: read to the end, so that it never waits for us, and only the last line
//! kept.

use jostle_console::terminal::escaped_bytes;
use jostle_endpoints::protocol::lines::{Line, Lines, Overlong};
use std::io::{self, Read};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The longest line that is kept whole, in bytes; of a longer one it is the end.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// The longest wait for the end of a pipe after its programs have ended.
const PATIENCE: Duration = Duration::from_secs(1);

/// One pipe of a program, and the thread that empties it.
#[derive(Debug)]
pub(crate) struct PipeOutput {
    last: Arc<Mutex<Vec<u8>>>,
    ended: Receiver<()>,
}

impl PipeOutput {
    /// Empties `pipe` until its end, and logs its lines as those of `name` at level debug.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn drain(name: String, pipe: impl Read + Send + 'static) -> io::Result<Self> {
        let last = Arc::new(Mutex::new(Vec::new()));
        let (sender, ended) = mpsc::channel();
        let kept = last.clone();
        std::thread::Builder::new().name("output".into()).spawn(move || {
            read(pipe, |line| {
                log::debug!("{name}: {}", escaped_bytes(line));
                line.clone_into(&mut kept.lock().unwrap_or_else(PoisonError::into_inner));
            });
            // The thread that waited may have gone.
            let _ = sender.send(());
        })?;
        Ok(Self { last, ended })
    }

    /// Returns the last line with anything in it; empty when there was none. Its programs must have
    /// ended.
    pub(crate) fn last_line(&self) -> Vec<u8> {
        // What has fled may still hold the pipe; what was read so far is all there is then.
        let _ = self.ended.recv_timeout(PATIENCE);
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Gives `each` the lines that hold more than blanks.
fn read(mut pipe: impl Read, mut each: impl FnMut(&[u8])) {
    let mut lines = Lines::new(LINE_BYTES_MAX, Overlong::Cut);
    let mut each = |line: Line<'_>| {
        if let Some(text) = line.text().map(<[u8]>::trim_ascii).filter(|text| !text.is_empty()) {
            each(text);
        }
    };
    let mut buffer = vec![0; LINE_BYTES_MAX];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => lines.push(&buffer[..count], &mut each),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    if let Some(rest) = lines.finish() {
        each(Line::Whole(&rest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(bytes: impl Into<Vec<u8>>) -> Vec<u8> {
        PipeOutput::drain("test".to_owned(), io::Cursor::new(bytes.into())).unwrap().last_line()
    }

    #[test]
    fn the_last_line_with_anything_in_it_is_kept() {
        for (text, expected) in [
            ("one\ntwo\n", "two"),
            ("one\ntwo", "two"),
            ("one\r\n\n  \n", "one"),
            ("  { \"a\": 1 } \n", "{ \"a\": 1 }"),
            ("", ""),
            ("\n\n", ""),
        ] {
            assert_eq!(last(text), expected.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn memory_does_not_grow_with_a_line() {
        assert_eq!(last([b'x'; LINE_BYTES_MAX + 3]), b"xxx");
        assert_eq!(last([b'x'; LINE_BYTES_MAX]).len(), LINE_BYTES_MAX);
    }
}
