//! Sending datagrams, many at a time where the system can.

use crate::datagram::{MESSAGES, Message};
use mio::net::UdpSocket;
use std::io;

/// The way out for datagrams.
#[derive(Clone, Copy, Debug)]
pub struct Outbox {
    portable: bool,
}

impl Outbox {
    /// Makes an outbox; a portable one sends a datagram per call.
    pub const fn new(portable: bool) -> Self {
        Self { portable }
    }

    /// Returns true if a run of datagrams can go as one message.
    pub const fn takes_runs(self) -> bool {
        cfg!(target_os = "linux") && !self.portable
    }

    /// Sends messages from the first on and returns how many went; an error speaks of the first.
    pub fn send(self, socket: &UdpSocket, messages: &[Message<'_>]) -> io::Result<usize> {
        let messages = &messages[..messages.len().min(MESSAGES)];
        #[cfg(target_os = "linux")]
        if !self.portable {
            return super::linux::send(socket, messages);
        }
        for (sent, message) in messages.iter().enumerate() {
            let [payload] = message.pieces else {
                unreachable!("runs are made only where they are taken")
            };
            let result = match message.to {
                Some(to) => socket.send_to(payload, to),
                None => socket.send(payload),
            };
            match result {
                Ok(_) => {}
                Err(_) if sent > 0 => return Ok(sent),
                Err(error) => return Err(error),
            }
        }
        Ok(messages.len())
    }
}
