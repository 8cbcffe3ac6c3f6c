//! The shape of HTTP/1 requests and answers, as RFC 9112 has it, and that no two readers could see
//! it differently.
//!
//! Parsers in common use take some of what they must not: two equal lengths, a length beside
//! chunks, bare line feeds. What stands behind this sees none of that.

mod framing;
mod head;
mod response;

pub use framing::RequestFraming;
pub use head::{BadRequest, BodyFraming, Head, field};
pub use response::{ResponseFraming, ResponseState};

#[cfg(test)]
mod response_tests;
#[cfg(test)]
mod tests;
