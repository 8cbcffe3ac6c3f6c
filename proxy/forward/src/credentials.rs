//! The user and password that clients must name.

use std::fmt;

/// A user with a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    password: String,
}

impl Credentials {
    /// The most bytes of either: SOCKS5 counts them in one byte (RFC 1929).
    pub const BYTES_MAX: usize = 255;

    /// Reads `USER:PASSWORD`.
    ///
    /// # Errors
    /// When there is no colon, or one of the two is empty or longer than [`Self::BYTES_MAX`].
    pub fn read(text: &str) -> Result<Self, &'static str> {
        let (user, password) =
            text.split_once(':').ok_or("there is no colon between user and password")?;
        if [user, password].iter().any(|part| !(1..=Self::BYTES_MAX).contains(&part.len())) {
            return Err("user and password have 1 to 255 bytes each");
        }
        Ok(Self { user: user.into(), password: password.into() })
    }

    /// Returns the user's name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns both as [`read`](Self::read) takes them.
    pub fn written(&self) -> String {
        format!("{}:{}", self.user, self.password)
    }

    /// Returns true for the right user and password. How long that takes tells nothing but their
    /// lengths.
    pub(crate) fn are(&self, user: &[u8], password: &[u8]) -> bool {
        let same = |known: &str, said: &[u8]| {
            let pairs = known.bytes().zip(said);
            let differing = pairs.fold(0, |differing, (known, said)| differing | (known ^ said));
            known.len() == said.len() && differing == 0
        };
        same(&self.user, user) & same(&self.password, password)
    }
}

impl fmt::Debug for Credentials {
    /// Keeps the password to itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_ones_pass() {
        let credentials = Credentials::read("ann:pass:word").unwrap();
        assert!(credentials.are(b"ann", b"pass:word"));
        for (user, password) in [("ann", "pass"), ("anna", "pass:word"), ("", ""), ("bob", "x")] {
            assert!(!credentials.are(user.as_bytes(), password.as_bytes()), "{user}:{password}");
        }
        assert!(!format!("{credentials:?}").contains("word"));
    }

    #[test]
    fn what_socks_cannot_say_is_refused() {
        let long = format!("a:{}", "b".repeat(256));
        for text in ["", "ann", "ann:", ":x", long.as_str()] {
            assert!(Credentials::read(text).is_err(), "{text}");
        }
    }
}
