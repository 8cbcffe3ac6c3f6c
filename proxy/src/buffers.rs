//! Buffers that streams are read into, and which then are what was read: bulk is not copied, and
//! takes no fresh memory from the system for each read.

use bytes::Bytes;
use jostle_engine::memory::{Charge, Memory};
use std::sync::{Arc, Mutex, PoisonError};

/// The bytes of a buffer: about what a read brings of a sender whose kernel joins segments (GSO).
pub(crate) const BUFFER_BYTES: usize = 64 << 10;

/// Fewer bytes than this are copied out, so that they do not hold a whole buffer.
const KEPT_MIN: usize = BUFFER_BYTES / 2;

/// The most buffers that wait for the next read: 2 MiB.
const SPARE_MAX: usize = 32;

/// The buffers that wait for the next read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Box<[u8]>>>>);

impl Buffers {
    /// Returns a buffer to read into.
    pub(crate) fn take(&self) -> Box<[u8]> {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| vec![0; BUFFER_BYTES].into())
    }

    /// Takes a buffer back.
    pub(crate) fn put_back(&self, buffer: Box<[u8]>) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE_MAX {
            spare.push(buffer);
        }
    }

    /// Returns the first `count` bytes of a buffer, which comes back when the last slice of them
    /// goes. What it has besides is charged to `memory` until then; who takes the bytes charges
    /// these.
    pub(crate) fn filled(&self, buffer: Box<[u8]>, count: usize, memory: &Memory) -> Bytes {
        if count < KEPT_MIN {
            let bytes = Bytes::copy_from_slice(&buffer[..count]);
            self.put_back(buffer);
            return bytes;
        }
        let rest = Charge::new(memory, (buffer.len() - count) as u64);
        Bytes::from_owner(Filled { buffer, count, home: self.clone(), _rest: rest })
    }
}

/// A buffer with what was read into it.
struct Filled {
    buffer: Box<[u8]>,
    count: usize,
    home: Buffers,
    _rest: Charge,
}

impl AsRef<[u8]> for Filled {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.count]
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        self.home.put_back(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spare(buffers: &Buffers) -> usize {
        buffers.0.lock().unwrap().len()
    }

    #[test]
    fn a_buffer_comes_back_with_the_last_slice_and_is_charged_whole_till_then() {
        let (buffers, memory) = (Buffers::default(), Memory::new(1 << 20));
        let mut buffer = buffers.take();
        buffer[..3].copy_from_slice(b"abc");
        let bytes = buffers.filled(buffer, KEPT_MIN, &memory);
        let slice = bytes.slice(1..3);
        drop(bytes);
        assert_eq!((&slice[..], spare(&buffers)), (&b"bc"[..], 0));
        assert_eq!(memory.used(), (BUFFER_BYTES - KEPT_MIN) as u64);
        drop(slice);
        assert_eq!((spare(&buffers), memory.used()), (1, 0));
        assert_eq!(&buffers.take()[..3], b"abc", "the same one");
    }

    #[test]
    fn little_is_copied_and_few_buffers_are_kept() {
        let (buffers, memory) = (Buffers::default(), Memory::new(1 << 20));
        let bytes = buffers.filled(buffers.take(), KEPT_MIN - 1, &memory);
        assert_eq!((bytes.len(), spare(&buffers), memory.used()), (KEPT_MIN - 1, 1, 0));
        let all: Vec<_> = (0..2 * SPARE_MAX).map(|_| buffers.take()).collect();
        all.into_iter().for_each(|buffer| buffers.put_back(buffer));
        assert_eq!(spare(&buffers), SPARE_MAX);
    }
}
