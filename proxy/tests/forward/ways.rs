//! What crosses is what was sent, by every way, from the first byte to the last.

use crate::client::*;
use crate::support::assert_conserved;
use std::io::{Read, Write};
use std::net::Shutdown;

const BYTES: usize = 300_000;

#[test]
fn a_stream_through_socks_is_whole_from_the_byte_behind_the_request_on() {
    for (way, more) in WAYS {
        let (target, server) = serve_once(pattern(BYTES));
        let proxy = forward("socks5", more);
        let mut stream = connect(&proxy);
        let sent = pattern(BYTES);
        // All at once: greeting, request, and what a client may not send before it is answered.
        let all = [socks_request("127.0.0.1", target.port()), sent.clone()].concat();
        let mut writing = stream.try_clone().unwrap();
        let writer = std::thread::spawn(move || {
            writing.write_all(&all).unwrap();
            writing.shutdown(Shutdown::Write).unwrap();
        });
        assert_eq!(socks_reply(&mut stream), 0, "{way}");
        assert!(read_all(&mut stream) == pattern(BYTES), "{way}");
        assert!(server.join().unwrap() == sent, "{way}");
        writer.join().unwrap();
        let summary = proxy.stop();
        assert_conserved(&summary);
        let [up, down] = links(&summary);
        assert_eq!((up.bytes_in, down.bytes_out), (BYTES as u64, BYTES as u64), "{way}");
        assert_eq!((count(&summary, "asked"), count(&summary, "finished")), (1, 1), "{way}");
        assert_eq!(count(&summary, "negotiating"), 0);
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let (target, server) = serve_once(b"done".to_vec());
    let proxy = forward("socks5", "");
    let mut stream = connect(&proxy);
    for byte in socks_request("localhost", target.port()) {
        stream.write_all(&[byte]).unwrap();
    }
    assert_eq!(socks_reply(&mut stream), 0, "127.0.0.1 comes before ::1, or after it");
    stream.write_all(b"x").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut stream), b"done");
    assert_eq!(server.join().unwrap(), b"x");
}

#[test]
fn a_tunnel_of_an_http_proxy_carries_whatever_it_is_given() {
    for (way, more) in WAYS {
        let (target, server) = serve_once(pattern(BYTES));
        let proxy = forward("http-proxy", more);
        let mut stream = connect(&proxy);
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
        stream.write_all(&[head.as_bytes(), b"ahead"].concat()).unwrap();
        let mut answer = [0; 39];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 Connection Established\r\n\r\n", "{way}");
        stream.write_all(&pattern(5000)).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert!(read_all(&mut stream) == pattern(BYTES), "{way}");
        assert!(server.join().unwrap() == [&b"ahead"[..], &pattern(5000)].concat(), "{way}");
        assert_conserved(&proxy.stop());
    }
}

#[test]
fn a_request_in_absolute_form_comes_to_the_server_and_its_answer_is_untouched() {
    for (way, more) in WAYS {
        let said = b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 2\r\n\r\nok".to_vec();
        let (target, server) = serve_once(said.clone());
        let proxy = forward("http-proxy", more);
        let mut stream = connect(&proxy);
        let request = format!(
            "POST http://{target}/a?b HTTP/1.1\r\nHost: elsewhere\r\nProxy-Connection: keep-alive\r\n\
             Content-Length: 4\r\n\r\nbody"
        );
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&mut stream), said, "{way}");
        let came = String::from_utf8(server.join().unwrap()).unwrap();
        let wanted = format!(
            "POST /a?b HTTP/1.1\r\nHost: {target}\r\nContent-Length: 4\r\nVia: 1.1 jostle\r\n\
             \r\nbody"
        );
        assert_eq!(came, wanted, "{way}");
    }
}

#[test]
fn a_client_that_leaves_takes_its_target_along() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for (way, more) in WAYS {
        let proxy = forward("socks5", more);
        let stream = through_socks(&proxy, listener.local_addr().unwrap());
        let (mut server, _) = listener.accept().unwrap();
        server.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
        socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(stream);
        let reset = server.read(&mut [0]).unwrap_err().kind();
        assert_eq!(reset, std::io::ErrorKind::ConnectionReset, "{way}");
    }
}
