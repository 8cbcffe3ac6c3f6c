//! `jostle-server`: the clean servers that jostle's tests and demonstrations talk to.

use super::endpoints::endpoint_program;
use jostle_endpoints::{clock, echo, file, http, messages, ping, saw};

endpoint_program! {
    /// Clean servers: they never lose, delay or damage anything themselves.
    "jostle-server",
    Saw(saw::command::SawServeArgs),
    File(file::command::FileReceiveArgs),
    Messages(messages::command::MessagesServeArgs),
    Ping(ping::command::PingServeArgs),
    Clock(clock::command::ClockServeArgs),
    Echo(echo::command::EchoServeArgs),
    Http(http::command::HttpServeArgs),
}
