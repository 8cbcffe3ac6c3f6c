//! What the programs of jostle are made of: endpoints that run in a thread or behind a command, and what their commands share.

pub mod accept;
pub mod address;
pub mod audit;
pub mod clock;
pub mod commands;
pub mod compare;
pub mod connection;
pub mod datagrams;
pub mod ending;
pub mod exit;
pub mod file;
pub mod files;
pub mod keys;
pub mod lines;
pub mod messages;
pub mod patience;
pub mod ping;
pub mod progress;
pub mod saw;
pub mod signals;
pub mod stdin;
pub mod stop;
pub mod storage;
pub mod streams;
pub mod terminal;
pub mod timing;
