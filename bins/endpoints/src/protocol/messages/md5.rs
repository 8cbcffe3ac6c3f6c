//! MD5 (RFC 1321): programs of others write it into their lines. Nothing of ours relies on it.

use md5::{Digest as _, Md5};

/// Returns the digest in small hex digits.
pub(super) fn md5(message: &[u8]) -> String {
    Md5::digest(message).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standard() {
        let digits =
            "12345678901234567890123456789012345678901234567890123456789012345678901234567890";
        for (message, digest) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            (digits, "57edf4a22be3c955ac49da2e2107b67a"),
            (&"a".repeat(56), "3b0c8ac703f828b04c6c197006d17218"),
        ] {
            assert_eq!(md5(message.as_bytes()), digest, "{message}");
        }
    }
}
