//! The reason why an attempt failed, and whether another may succeed.

use hyper::StatusCode;

/// The reason why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HttpFailure {
    /// The network's or the moment's fault: worth another try.
    Passing(String),
    /// The server had closed the kept connection, as it may at any time (RFC 9112, section 9.5):
    /// no failure, so the first one is no retry.
    Stale(String),
    /// It would fail again.
    Final(String),
}

impl HttpFailure {
    /// Returns the meaning of a status that is no success. `said` is the beginning of the answer's
    /// text.
    pub(super) fn of_status(status: StatusCode, said: &str) -> Self {
        let said = said.lines().next().unwrap_or_default().trim();
        // Our own server says the status again, in front of the reason.
        let reason =
            if said.starts_with(status.as_str()) { said.to_owned() } else { status.to_string() };
        match status {
            StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
            | StatusCode::INTERNAL_SERVER_ERROR => Self::Passing(reason),
            _ => Self::Final(reason),
        }
    }

    /// Returns the same, with another try when none was promised.
    pub(super) fn passing(self) -> Self {
        match self {
            Self::Passing(reason) | Self::Stale(reason) | Self::Final(reason) => {
                Self::Passing(reason)
            }
        }
    }

    /// Returns the same, without another try.
    pub(super) fn last(self) -> Self {
        match self {
            Self::Passing(reason) | Self::Stale(reason) | Self::Final(reason) => {
                Self::Final(reason)
            }
        }
    }
}
