//! The buffers that datagrams are read into, which those may keep who pass them on.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The size of one: the largest datagram, or the largest run of datagrams that the kernel hands
/// over as one.
const SLOT_BYTES: usize = 65_536;

/// The most that wait to be read into again: 16 MiB, which is what they take in the end if nothing
/// more comes.
pub(crate) const IDLE_MAX: usize = 256;

/// A buffer that was read into. As long as there are clones of it, nothing else is read into it.
#[derive(Clone)]
pub struct SlotBuffer(Arc<Slot>);

/// The bytes of one, and where they go behind the last clone.
struct Slot {
    bytes: Box<[u8]>,
    pool: Option<SlotPool>,
}

/// The buffers that have come back. The last one is taken first: it was sent a moment ago, so it is
/// still in the processor's cache, and what is read into one that is not has to be fetched first.
#[derive(Clone, Default)]
pub(crate) struct SlotPool(Arc<Mutex<Vec<Box<[u8]>>>>);

impl SlotBuffer {
    /// The bytes that one takes.
    pub const BYTES: usize = SLOT_BYTES;

    /// Makes one.
    pub fn new() -> Self {
        Self(Arc::new(Slot { bytes: vec![0; SLOT_BYTES].into(), pool: None }))
    }

    /// Returns true if there are clones of it.
    pub(crate) fn is_kept(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Returns all of it, to be written to, if nobody else has it.
    pub fn get_mut(&mut self) -> Option<&mut [u8]> {
        Arc::get_mut(&mut self.0).map(|slot| &mut *slot.bytes)
    }
}

impl SlotPool {
    /// Returns a buffer that has come back, or else a new one. It comes back here.
    pub(crate) fn take(&self) -> SlotBuffer {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = idle.unwrap_or_else(|| vec![0; SLOT_BYTES].into());
        SlotBuffer(Arc::new(Slot { bytes, pool: Some(self.clone()) }))
    }

    /// Returns how many wait.
    #[cfg(test)]
    pub(crate) fn idle(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            let mut idle = pool.0.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE_MAX {
                idle.push(std::mem::take(&mut self.bytes));
            }
        }
    }
}

impl Default for SlotBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl AsRef<[u8]> for SlotBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl fmt::Debug for SlotBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SlotBuffer").field(&self.as_ref().len()).finish()
    }
}
