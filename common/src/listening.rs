//! The reasons why a socket cannot listen, with what to do about each.

use std::fmt;
use std::io::{self, ErrorKind};

/// The system's error about an address that was to be listened on, and the remedy.
///
/// ```
/// use jostle_common::listening::CannotListen;
/// let taken = std::io::ErrorKind::AddrInUse.into();
/// assert!(CannotListen(&taken).to_string().ends_with("or choose another port"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CannotListen<'a>(pub &'a io::Error);

impl CannotListen<'_> {
    /// Returns what to do about it; `None` if the error says it all.
    fn remedy(self) -> Option<&'static str> {
        Some(match self.0.kind() {
            ErrorKind::AddrInUse => "end the program that listens there, or choose another port",
            ErrorKind::AddrNotAvailable => {
                "choose an address of this machine, or 0.0.0.0 or [::] for all of them"
            }
            ErrorKind::PermissionDenied => {
                "the system keeps low ports for itself; choose one from 1024 on"
            }
            _ => return None,
        })
    }
}

impl fmt::Display for CannotListen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        self.remedy().map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_followed_by_a_remedy() {
        for (kind, remedy) in [
            (ErrorKind::AddrInUse, "end the program that listens there, or choose another port"),
            (ErrorKind::AddrNotAvailable, "choose an address of this machine"),
            (ErrorKind::PermissionDenied, "choose one from 1024 on"),
        ] {
            let error = io::Error::from(kind);
            let said = CannotListen(&error).to_string();
            assert!(said.starts_with(&format!("{error}; ")) && said.contains(remedy), "{said}");
        }
        assert_eq!(CannotListen(&io::Error::other("broken")).to_string(), "broken");
    }
}
