//! What the programs of jostle are made of: endpoints that run in a thread or behind a command, and what their commands share.

pub mod address;
pub mod audit;
pub mod commands;
pub mod compare;
pub mod datagrams;
pub mod ending;
pub mod exit;
pub mod file;
pub mod files;
pub mod keys;
pub mod profiles;
pub mod progress;
pub mod saw;
pub mod signals;
pub mod stop;
pub mod storage;
pub mod terminal;
