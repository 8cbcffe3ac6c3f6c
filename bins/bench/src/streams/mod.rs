//! Loads of streams: bulk, a byte there and back, connections that come and go, and connections that
//! stand still.

pub(crate) mod bulk;
pub(crate) mod connects;
pub(crate) mod idle;
pub(crate) mod ping_pong;

mod pairs;
