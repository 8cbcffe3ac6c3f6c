//! `jostle-server http` and `jostle-client http`.

pub use super::client::command::ClientArgs;
pub use super::site::command::ServeArgs;
