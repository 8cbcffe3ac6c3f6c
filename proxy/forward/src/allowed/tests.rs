use super::*;
use proptest::prelude::*;
use std::net::ToSocketAddrs;

fn list(entries: &[&str], public_only: bool) -> Allowed {
    Allowed::new(entries.iter().copied(), public_only).unwrap()
}

/// Judges a target as a proxy does: as it is written, then by each address that the system finds
/// for it without asking anyone.
fn reaches(list: &Allowed, text: &str) -> bool {
    let Ok(target) = text.parse::<Target>() else { return false };
    if list.judge(&target).is_err() {
        return false;
    }
    match &target.host {
        Host::Address(_) => true,
        Host::Name(name) => {
            // Spellings of numbers are addresses to the system, `localhost` is to everyone; any
            // other name is one that the internet has.
            let is_number =
                name.bytes().all(|byte| byte.is_ascii_hexdigit() || b"x.".contains(&byte));
            let found = match is_number || name.ends_with("localhost") {
                true => (name.as_str(), target.port).to_socket_addrs(),
                false => ("8.8.8.8", target.port).to_socket_addrs(),
            };
            found.is_ok_and(|mut all| all.any(|one| list.judge_address(&target, one.ip()).is_ok()))
        }
    }
}

/// Writes a digit as another script does, whose zero is `zero`.
fn wide(c: char, zero: u32) -> char {
    c.to_digit(10).map_or(c, |digit| char::from_u32(zero + digit).unwrap())
}

#[test]
fn a_proxy_for_others_reaches_nothing_private_however_it_is_spelled() {
    let open = list(&[], true);
    let mut spellings: Vec<String> = Vec::new();
    for host in [
        "127.0.0.1",
        "127.0.0.2",
        "127.255.255.254",
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "192.168.255.255",
        "169.254.169.254",
        "169.254.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "192.88.99.1",
    ] {
        let [a, b, c, d] = host.parse::<Ipv4Addr>().unwrap().octets();
        let number = u32::from_be_bytes([a, b, c, d]);
        let tail = u32::from_be_bytes([0, b, c, d]);
        let low = u32::from(c) << 8 | u32::from(d);
        spellings.extend([
            host.to_owned(),
            format!("{host}."),
            format!("[::ffff:{host}]"),
            format!("[::FFFF:{a:02x}{b:02x}:{c:02x}{d:02x}]"),
            format!("[0:0:0:0:0:ffff:{a:x}{b:02x}:{c:x}{d:02x}]"),
            format!("[::{host}]"),
            format!("[64:ff9b::{host}]"),
            format!("[2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1]"),
            format!("{number}"),
            format!("{number:#x}"),
            format!("{number:#X}").to_lowercase(),
            format!("0{number:o}"),
            format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
            format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"),
            format!("000{a:o}.{b}.{c}.{d}"),
            format!("{a}.{tail}"),
            format!("{a}.{b}.{low}"),
            format!("{a:#x}.{b}.{c}.{d}"),
            // The NAT64 prefixes that networks choose themselves (RFC 8215).
            format!("[64:ff9b:1::{host}]"),
            // What stands for an IPv4 address elsewhere, and addresses nothing here.
            format!("[{host}]"),
            format!("[::ffff:{host}%1]"),
            format!("[::ffff:{host}%25lo]"),
            host.replace('.', "%2e"),
            host.replace('.', "%2E"),
            host.replace('.', "\u{3002}"),
            host.replace('.', "\u{ff0e}"),
            host.chars().map(|c| wide(c, 0xff10)).collect(),
            host.chars().map(|c| wide(c, 0x0660)).collect(),
            host.chars().map(|c| wide(c, 0x2460 - 1)).collect(),
            format!("{host}.."),
            format!(".{host}"),
            format!("{host}\0"),
            format!("{host} "),
            format!("user@{host}"),
            format!("8.8.8.8@{host}"),
            format!("8.8.8.8#@{host}"),
            format!("{host}/8.8.8.8"),
            format!("http://{host}"),
            format!("\\{host}"),
        ]);
    }
    for host in [
        "[::]",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::0001]",
        "[fe80::1]",
        "[febf::1]",
        "[fec0::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[fdff::1]",
        "[ff02::1]",
        "[ff0e::1]",
        "[100::1]",
        "[2001::1]",
        "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
        "[2001:db8::1]",
        "[2001:10::1]",
        "[2001:20::1]",
        "[3fff::1]",
        "[5f00::1]",
        "[64:ff9b:1::7f00:1]",
        "[fe80::1%lo]",
        "[fe80::1%25lo]",
        "[::1%lo]",
        "[::1].",
        "[[::1]]",
        "[::1",
        "::1",
        "[0:0:0:0:0:0:7f00:1]",
        "[::0:0]",
        "[fe80::5efe:127.0.0.1]",
        "app.localhost",
        "[::ffff:0:127.0.0.1]",
        "localhost",
        "LOCALHOST",
        "localhost.",
    ] {
        spellings.push(host.to_owned());
    }
    assert!(spellings.len() >= 1000, "{}", spellings.len());
    for host in &spellings {
        let text = format!("{host}:80");
        assert!(!reaches(&open, &text), "{text}");
    }
    for host in [
        "8.8.8.8",
        "1.1.1.1",
        "[2606:4700::1111]",
        "example.org",
        "[64:ff9b::8.8.8.8]",
        "172.32.0.1",
    ] {
        assert!(reaches(&open, &format!("{host}:80")), "{host}");
    }
}

#[test]
fn a_list_has_what_it_says_and_nothing_else() {
    let allowed = list(
        &[
            "example.org",
            "*.example.net:443",
            "10.1.0.0/16",
            "[2001:db8::]/32:80",
            "127.0.0.1:8080",
        ],
        false,
    );
    for (target, passes) in [
        ("example.org:80", true),
        ("EXAMPLE.ORG.:8443", true),
        ("www.example.org:80", false),
        ("example.org.evil.test:80", false),
        ("evilexample.org:80", false),
        ("a.example.net:443", true),
        ("a.b.example.net:443", true),
        ("a.example.net:80", false),
        ("example.net:443", false),
        ("evilexample.net:443", false),
        (".example.net:443", false),
        ("10.1.2.3:1", true),
        ("[::ffff:10.1.2.3]:1", true),
        ("10.2.0.1:1", false),
        ("[2001:db8::5]:80", true),
        ("[2001:db8::5]:81", false),
        ("[2001:db9::5]:80", false),
        ("127.0.0.1:8080", true),
        ("127.0.0.1.:8080", true),
        ("127.0.0.1:80", false),
        ("0177.0.0.1:80", false),
        ("2130706433:80", false),
        ("0x7f.1:80", false),
        ("localhost:8080", true),
        ("localhost:80", false),
        ("[::1]:8080", false),
        ("0.0.0.0:8080", false),
    ] {
        assert_eq!(reaches(&allowed, target), passes, "{target}");
    }
}

#[test]
fn a_name_that_turns_out_to_be_private_is_refused_to_others() {
    let target: Target = "rebind.example.org:80".parse().unwrap();
    let inside: IpAddr = "192.168.0.1".parse().unwrap();
    let outside: IpAddr = "8.8.8.8".parse().unwrap();
    for (entries, public_only, refused) in [
        (&[][..], true, Some(Refused::Private)),
        (&[][..], false, None),
        (&["*.example.org"], true, Some(Refused::Private)),
        (&["*"], true, Some(Refused::Private)),
        (&["*.example.org", "192.168.0.0/24"], true, None),
        (&["192.168.0.0/24:80"], true, None),
        (&["192.168.0.0/24:81"], true, Some(Refused::NotListed)),
        (&["*.example.net"], true, Some(Refused::NotListed)),
    ] {
        let allowed = list(entries, public_only);
        assert_eq!(allowed.judge_address(&target, inside).err(), refused, "{entries:?}");
    }
    assert_eq!(list(&["*.example.org"], true).judge_address(&target, outside), Ok(()));
    assert!(list(&["10.0.0.0/8"], true).judge_address(&target, outside).is_err());
}

#[test]
fn an_address_of_the_machine_itself_is_private_however_public_it_is() {
    let own: IpAddr = "8.8.8.8".parse().unwrap();
    for (entries, target, public_only, passes) in [
        (&[][..], "8.8.8.8:22", true, false),
        (&[], "8.8.8.8:22", false, true),
        (&["*"], "8.8.8.8:22", true, false),
        (&["host.example"], "host.example:22", true, false),
        (&["host.example", "8.8.8.8"], "host.example:22", true, true),
        (&["8.8.0.0/16:80"], "8.8.8.8:22", true, false),
        (&["8.8.0.0/16:80"], "8.8.8.8:80", true, true),
    ] {
        let allowed = list(entries, public_only);
        let judged = allowed.judge_own(&target.parse().unwrap(), own);
        assert_eq!(judged.is_ok(), passes, "{entries:?} {target}");
    }
}

#[test]
fn entries_that_mean_nothing_are_refused() {
    for entry in [
        "",
        ":80",
        "a:0",
        "a:+1",
        "10.0.0.0/+8",
        "10.0.0.0/",
        "a:99999",
        "a b",
        "a/8",
        "10.0.0.0/33",
        "*.10.0.0.1",
        "*a",
        "[::1",
        "a:b",
        "*.",
        "10.0.0.0/x",
        // Slips that would be names: nobody's, or what the system makes of them.
        "10.0.0.256",
        "10.0.0",
        "127.1",
        "2130706433",
        "0x7f000001",
        "[::ffff:10.0.0.0]/24",
        "https://example.org",
    ] {
        assert!(Allowed::new([entry], false).is_err(), "{entry}");
    }
    for entry in
        ["*", "*:443", "a", "a.b:1", "::1", "2001:db8::/32", "[::1]", "[::1]:80", "10.0.0.1"]
    {
        assert!(Allowed::new([entry], false).is_ok(), "{entry}");
    }
    let written = list(&["[::ffff:10.1.2.3]/104", "10.0.0.1:8000-8999"], false).written();
    assert_eq!(written, ["10.0.0.0/8", "10.0.0.1:8000-8999"]);
}

proptest! {
    #[test]
    fn what_a_list_does_not_have_is_never_reached(text in "[!-~]{1,24}", port in 1..=u16::MAX) {
        let allowed = list(&["example.org:443"], true);
        let target = Target::new(&text, port);
        if let Ok(target) = target && target.to_string() != "example.org:443" {
            prop_assert!(allowed.judge(&target).is_err());
        }
    }
}
