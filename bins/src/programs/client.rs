//! `jostle-client`: the clean clients that talk to jostle-server, through bad weather or none.

use super::endpoints::endpoint_program;
use jostle_endpoints::{clock, echo, file, http, messages, ping, saw};

endpoint_program! {
    /// Clean clients: they never lose, delay or damage anything themselves.
    "jostle-client",
    Saw(saw::command::SawFetchArgs),
    File(file::command::FileSendArgs),
    Messages(messages::command::MessagesSendArgs),
    Ping(ping::command::PingArgs),
    Clock(clock::command::ClockAskArgs),
    Echo(echo::command::EchoTalkArgs),
    Http(http::command::HttpClientArgs),
}
