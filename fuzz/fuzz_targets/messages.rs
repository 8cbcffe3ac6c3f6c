//! Both ends of checked messages, against any bytes.
#![no_main]

use jostle_common::time::Instant;
use jostle_endpoints::protocol::messages::{
    MessagesClient, MessagesClientSettings, Reply, Session, ReplyVerdict, encode,
};
use jostle_endpoints::protocol::stream::StreamEndpoint;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::time::Duration;

#[derive(Arbitrary, Debug)]
enum Arrival {
    Bytes(Vec<u8>),
    /// So many of a byte: lines that are too long.
    Run(u8, u16),
    Message(u8, Vec<u8>),
    Goodbye(u8),
    Reply(bool, u8),
    Wait(u16),
    End,
}

impl Arrival {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Run(byte, count) => vec![*byte; usize::from(*count) * 2],
            Self::Message(sequence, message) => encode(u64::from(*sequence % 8), message).to_vec(),
            Self::Goodbye(sequence) => encode(u64::from(*sequence % 8), b"TCHAU").to_vec(),
            Self::Reply(is_ack, sequence) => {
                let verdict = if *is_ack { ReplyVerdict::Ack } else { ReplyVerdict::Nack };
                Reply::new(verdict, u64::from(*sequence % 8)).encode().to_vec()
            }
            Self::Wait(_) | Self::End => Vec::new(),
        }
    }
}

fuzz_target!(|arrivals: Vec<Arrival>| {
    let mut client = MessagesClient::new(MessagesClientSettings::default());
    (0..4).for_each(|number| client.push(vec![b'x'; number].into()));
    client.close();
    let mut session = Session::new(Instant::START, Some(Duration::from_secs(60)));
    let mut now = Instant::START;
    for arrival in &arrivals {
        if let Arrival::Wait(millis) = arrival {
            now += Duration::from_millis((*millis).into());
        }
        for end in [&mut client as &mut dyn StreamEndpoint, &mut session] {
            end.handle(now, &arrival.bytes());
            if matches!(arrival, Arrival::End) {
                end.handle_end(now);
            }
            while end.poll(now).is_some() {}
            assert!(end.is_finished() || end.deadline().is_none_or(|due| due > now));
        }
        client.take_acknowledged();
    }
    let messages = session.take_messages();
    // A session counts from 0 or, with a program of others, from 1.
    let first = session.dialect().map_or(0, |(_, first)| first);
    assert!(first <= 1);
    assert!((first..).zip(&messages).all(|(number, message)| message.sequence == number));
    let report = session.report();
    assert_eq!(
        (report.acks + report.nacks, report.delivered),
        (report.lines(), messages.len() as u64)
    );
});
