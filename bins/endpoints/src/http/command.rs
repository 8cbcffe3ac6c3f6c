//! `jostle-server http` and `jostle-client http`.

pub use super::client::command::HttpClientArgs;
pub use super::site::command::HttpServeArgs;
