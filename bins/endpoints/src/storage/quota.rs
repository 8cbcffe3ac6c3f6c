//! The most that a server stores in all.

use jostle_common::units::ByteSize;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes that a server may still write, over all its files. Its clones are the same quota.
#[derive(Clone, Debug)]
pub struct Quota {
    limit: u64,
    used: Arc<AtomicU64>,
}

impl Quota {
    /// The most unless told otherwise: far more than an exercise needs, and not the whole disk.
    pub const DEFAULT: &'static str = "64GiB";

    /// Creates a quota of `limit` bytes, of which none is used.
    pub fn new(limit: u64) -> Self {
        Self { limit, used: Arc::default() }
    }

    /// Returns the bytes that are left.
    pub fn room(&self) -> u64 {
        self.limit.saturating_sub(self.used.load(Ordering::Relaxed))
    }

    fn take(&self, bytes: u64) -> io::Result<()> {
        let take = |used: u64| used.checked_add(bytes).filter(|used| *used <= self.limit);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.exceeded()),
        }
    }

    /// Returns the error of what does not fit.
    pub fn exceeded(&self) -> io::Error {
        let limit = ByteSize::new(self.limit);
        let reason = format!("the server stores no more than {limit} in all; see its --max-total");
        io::Error::new(io::ErrorKind::QuotaExceeded, reason)
    }
}

/// The bytes of one file in a quota. They are given back with it, unless the file is kept.
#[derive(Debug)]
pub(super) struct Charge {
    quota: Option<Quota>,
    bytes: u64,
}

impl Charge {
    pub(super) const fn new(quota: Option<Quota>) -> Self {
        Self { quota, bytes: 0 }
    }

    /// Takes so many bytes more.
    pub(super) fn add(&mut self, bytes: usize) -> io::Result<()> {
        let Some(quota) = &self.quota else { return Ok(()) };
        quota.take(bytes as u64)?;
        self.bytes += bytes as u64;
        Ok(())
    }

    /// Leaves them taken for good: the file is stored.
    pub(super) fn keep(&mut self) {
        self.quota = None;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(quota) = &self.quota {
            quota.used.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_stays_taken_and_the_rest_is_given_back() {
        let quota = Quota::new(10);
        let [mut kept, mut broken] = [0; 2].map(|_| Charge::new(Some(quota.clone())));
        kept.add(4).unwrap();
        broken.add(6).unwrap();
        let error = broken.add(1).unwrap_err();
        assert_eq!((quota.room(), error.kind()), (0, io::ErrorKind::QuotaExceeded));
        assert!(error.to_string().contains("--max-total"), "{error}");
        kept.keep();
        drop((kept, broken));
        assert_eq!(quota.room(), 6);
        let mut next = Charge::new(Some(quota.clone()));
        next.add(6).unwrap();
        assert!(next.add(1).is_err() && quota.room() == 0);
        Charge::new(None).add(usize::MAX).unwrap();
    }
}
