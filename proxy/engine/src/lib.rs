//! The impairments of jostle, sans-I/O: no socket, no thread, no clock.

pub mod link;
pub mod packet;
pub mod stage;
pub mod tcp;
