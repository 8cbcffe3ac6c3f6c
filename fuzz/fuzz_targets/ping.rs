//! The client of ping and the reflector, against any datagrams.
#![no_main]

use jostle_endpoints::protocol::ping::{Ping, PingClient, PingClientSettings};
use jostle_endpoints::protocol::reflector::{Reflector, ReflectorSettings};
use jostle_fuzz::{Datagram, PEER, drive};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagrams: Vec<Datagram>| {
    let whole: Vec<_> =
        (1..4).map(|number| Ping { run: 7, number, attempt: 1 }.encode(0)).collect();
    // The head, and all but the checksum.
    let known: Vec<&[u8]> =
        whole.iter().flat_map(|ping| [&ping[..8], &ping[..ping.len() - 4]]).collect();
    let mut client = PingClient::new(PingClientSettings::new(PEER, 7));
    drive(&mut client, &datagrams, &known);
    while client.next_event().is_some() {}
    let settings = ReflectorSettings { port: 1234, once: None, tell: true };
    let mut reflector = Reflector::new(settings);
    drive(&mut reflector, &datagrams, &known);
    let report = *reflector.report();
    assert_eq!(report.received, report.answered + report.refused + report.unanswered);
});
