//! The digest that tells whether a file arrived as it was sent: SHA-256 (FIPS 180-4).

use sha2::Digest as _;
use std::fmt;
use std::sync::Arc;

/// A SHA-256 digest. Prints as 64 hex digits, as `sha256sum` does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Returns the digest of `bytes`.
    ///
    /// ```
    /// use jostle_common::digest::Digest;
    /// assert!(Digest::of(b"").to_string().starts_with("e3b0c44298fc1c14"));
    /// ```
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A digest in the making.
#[derive(Clone)]
pub struct Hasher(Making);

#[derive(Clone)]
enum Making {
    /// All that came was taken in.
    Hashing(sha2::Sha256),
    /// All that came is the beginning of a content whose digest is known.
    Following { content: Arc<dyn AsRef<[u8]> + Send + Sync>, digest: Digest, seen: usize },
}

impl Hasher {
    /// Creates a hasher that has seen nothing.
    pub fn new() -> Self {
        Self(Making::Hashing(sha2::Sha256::default()))
    }

    /// Creates a hasher that has seen nothing and expects `content`, whose digest is known. As long
    /// as that is what comes it is only compared, which is forty times faster.
    pub fn expecting(content: Arc<dyn AsRef<[u8]> + Send + Sync>, digest: Digest) -> Self {
        Self(Making::Following { content, digest, seen: 0 })
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        if let Making::Following { content, seen, .. } = &mut self.0 {
            let rest = (**content).as_ref().get(*seen..).unwrap_or_default();
            if rest.starts_with(bytes) {
                *seen += bytes.len();
                return;
            }
        }
        self.hash().update(bytes);
    }

    /// Returns the digest of all that was taken in.
    pub fn finish(mut self) -> Digest {
        if let Making::Following { content, digest, seen } = &self.0
            && *seen == (**content).as_ref().len()
        {
            return *digest;
        }
        Digest(std::mem::take(self.hash()).finalize().into())
    }

    /// Returns the hash of what was taken in so far, and follows nothing any more.
    fn hash(&mut self) -> &mut sha2::Sha256 {
        if let Making::Following { content, seen, .. } = &self.0 {
            let mut hash = sha2::Sha256::default();
            hash.update(&(**content).as_ref()[..*seen]);
            self.0 = Making::Hashing(hash);
        }
        let Making::Hashing(hash) = &mut self.0 else { unreachable!("it follows nothing") };
        hash
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: [u8; 1000] = [7; 1000];

    #[test]
    fn what_is_expected_and_what_is_not_have_the_digest_of_what_came() {
        let expecting = || Hasher::expecting(Arc::new(CONTENT), Digest::of(&CONTENT));
        let mut longer = CONTENT.to_vec();
        longer.extend([7; 300]);
        for cut in [0, 1, 64, 999, 1000, 1300] {
            for wrong in [None, Some(0), Some(500), Some(999), Some(1200)] {
                let mut came = longer[..cut].to_vec();
                if let Some(byte) = wrong.and_then(|place: usize| came.get_mut(place)) {
                    *byte = 8;
                }
                for piece in [1, 100, 1300] {
                    let mut hasher = expecting();
                    came.chunks(piece).for_each(|piece| hasher.update(piece));
                    let branch = hasher.clone();
                    assert_eq!(hasher.finish(), Digest::of(&came), "{cut}, {wrong:?}, {piece}");
                    assert_eq!(branch.finish(), Digest::of(&came));
                }
            }
        }
        assert_eq!(Hasher::default().finish(), Digest::of(b""));
    }

    #[test]
    fn what_is_expected_is_only_compared() {
        // The digest is wrong, and comes out as it was told.
        let told = Digest([9; 32]);
        let mut hasher = Hasher::expecting(Arc::new(CONTENT), told);
        CONTENT.chunks(300).for_each(|piece| hasher.update(piece));
        assert_eq!(hasher.finish(), told);
    }
}
