//! The client of echo over UDP, against any datagrams.
#![no_main]

use jostle_endpoints::protocol::echo::{EchoClient, EchoClientSettings};
use jostle_fuzz::{Datagram, PEER, drive};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagrams: Vec<Datagram>| {
    let mut client = EchoClient::new(EchoClientSettings::new(PEER));
    for message in ["one", "two", "two"] {
        if client.wants_message() {
            client.push(message.into());
        }
    }
    client.close();
    drive(&mut client, &datagrams, &[b"one", b"two"]);
    while client.next_event().is_some() {}
});
