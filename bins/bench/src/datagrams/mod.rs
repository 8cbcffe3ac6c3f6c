//! Loads of datagrams: as many as a relay carries, some at given times, and flows that stand still.

pub(crate) mod bulk;
pub(crate) mod flows;
pub(crate) mod lateness;

mod sockets;
mod window;
