//! A file over plain UDP: its data are sent once, at a rate, and never again; the receiver accounts
//! for every chunk.
//!
//! Only the control datagrams (start, done, and the receiver's answers) are repeated until they are
//! answered, so that both ends know what was sent and what came of it. Every data datagram has
//! exactly [`DATA_SIZE`] bytes, every control datagram fewer than
//! [`CONTROL_SIZE_MAX`]: an observer tells them apart by their size alone.
//!
//! A data datagram carries its header twice, in front of the chunk and behind it. So one flipped
//! bit, wherever it hits, leaves the number of the chunk readable, and a damaged chunk is known as
//! damaged and not taken for a missing one.

mod account;
mod any;
mod compared;
mod control;
mod data;
mod naive;
mod received;
mod receiver;
mod sender;
mod tcp;
mod transfer;

#[cfg(test)]
mod tests;

pub use account::{ChunkAccount, ChunkCounts, ChunkFate, ChunkState, intact_bytes};
pub use any::AnyFileReceiver;
pub use compared::compared;
pub use control::{
    CLIENT_CONTROL_SIZE, CONTROL_SIZE_MAX, ClientControl, NAME_MAX, PAGE_CHUNKS, REASON_MAX,
    ReportPage, ServerControl,
};
pub use data::{ChunkDatagram, Copy, DATA_SIZE};
pub use naive::{NaiveReceiver, NaiveSettings};
pub use received::{ReceivedFile, UdpFileReceiverReport, UdpFileReceiverSettings};
pub use receiver::UdpFileReceiver;
pub use sender::{
    UdpFileArrival, UdpFileFailure, UdpFileSender, UdpFileSenderReport, UdpFileSenderSettings,
};
pub use tcp::{
    StoredLine, TcpFileFailure, TcpFileReceived, TcpFileReceiver, TcpFileReceiverSettings,
    TcpFileSender,
};
