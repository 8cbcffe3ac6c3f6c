//! The answers of a forward proxy of its own.

use crate::Failure;
use http::StatusCode;

/// The answer to a request for a tunnel that is there.
pub const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection Established\r\n\r\n";

/// Returns the answer to a request whose target was not reached.
pub fn failed(failure: Failure) -> Vec<u8> {
    let (status, reason) = match failure {
        Failure::NotAllowed => (StatusCode::FORBIDDEN, "the target may not be reached from here"),
        Failure::NetworkUnreachable => (StatusCode::BAD_GATEWAY, "no way leads to the network"),
        Failure::HostUnreachable => {
            (StatusCode::BAD_GATEWAY, "the host has no address, or no way leads to it")
        }
        Failure::ConnectionRefused => (StatusCode::BAD_GATEWAY, "nobody listens there"),
        Failure::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "the target does not answer"),
        Failure::General => (StatusCode::BAD_GATEWAY, "the target was not reached"),
    };
    refusal(status, reason)
}

/// Returns an answer after which the connection is closed.
pub(super) fn refusal(status: StatusCode, reason: &str) -> Vec<u8> {
    let challenge = match status {
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            "Proxy-Authenticate: Basic realm=\"jostle\"\r\n"
        }
        _ => "",
    };
    let length = reason.len() + 1;
    format!(
        "HTTP/1.1 {} {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
         {challenge}Connection: close\r\n\r\n{reason}\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or("Error")
    )
    .into_bytes()
}
