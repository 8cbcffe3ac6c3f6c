//! The settings of a trial's endpoints: the same on real sockets and in virtual time, so that they
//! say the same.

use super::Trial;
use bytes::Bytes;
use jostle_common::ecn::Ecn;
use jostle_endpoints::protocol::{file, messages, ping, saw};
use std::net::SocketAddr;
use std::time::Duration;

impl Trial {
    /// Returns the settings of the client of stop-and-wait.
    pub fn saw_client(&self, server: SocketAddr) -> saw::SawClientSettings {
        let defaults = saw::SawClientSettings::new(server);
        saw::SawClientSettings { timing: self.timeout(), patience: None, ..defaults }
    }

    /// Returns the settings of the sender of a file over plain UDP. `transfer` tells it from others
    /// of the same port.
    pub fn udp_sender(&self, server: SocketAddr, transfer: u64) -> file::UdpFileSenderSettings {
        file::UdpFileSenderSettings {
            server,
            transfer,
            rate: self.pace(),
            patience: self.patience(),
        }
    }

    /// Returns the settings of the receiver of a file over plain UDP.
    pub fn udp_receiver(&self) -> file::UdpFileReceiverSettings {
        file::UdpFileReceiverSettings {
            idle: self.patience(),
            ..file::UdpFileReceiverSettings::default()
        }
    }

    /// Returns the settings of the client of ping: each request is one datagram. `run` tells it
    /// from earlier ones of the same port.
    pub fn ping_client(&self, server: SocketAddr, run: u32) -> ping::PingClientSettings {
        let size = self.size().bytes().clamp(ping::SIZE_MIN as u64, ping::SIZE_MAX as u64);
        ping::PingClientSettings {
            server,
            run,
            count: Some(self.count()),
            size: size as usize,
            pace: ping::PingPace::Interval(self.interval()),
            retries: 0,
            timing: self.timeout(),
            deadline: None,
            ecn: Ecn::NotEct,
            tell: false,
        }
    }

    /// Returns the settings of the client of messages.
    pub fn messages_client(&self) -> messages::MessagesClientSettings {
        let defaults = messages::MessagesClientSettings::default();
        messages::MessagesClientSettings { timing: self.timeout(), patience: None, ..defaults }
    }

    /// Makes the message of a number, from 0: letters, a function of number and size alone.
    pub fn message(&self, number: u64) -> Bytes {
        let size = self.size().bytes().min(messages::MESSAGE_BYTES_MAX as u64);
        let first = number % 26;
        (first..first + size).map(|place| b'a' + (place % 26) as u8).collect()
    }

    /// Returns the messages that `messages` sends, in order, each made when it is asked for.
    pub fn messages(&self) -> impl Iterator<Item = Bytes> + Send + 'static {
        let trial = self.clone();
        (0..trial.count()).map(move |number| trial.message(number))
    }

    /// Returns the patience of an endpoint. None gives up on its own: the trial's limit ends it,
    /// whichever end is silent.
    fn patience(&self) -> Duration {
        self.limit().saturating_mul(2)
    }
}
