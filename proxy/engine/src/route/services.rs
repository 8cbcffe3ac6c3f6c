//! Ports by name: those of IANA's registry that programs and their files use. No file is read, so
//! a name means the same on every machine.

/// Names and ports, in the order of ports.
const SERVICES: [(&str, u16); 48] = [
    ("ftp", 21),
    ("ssh", 22),
    ("telnet", 23),
    ("smtp", 25),
    ("domain", 53),
    ("tftp", 69),
    ("gopher", 70),
    ("http", 80),
    ("kerberos", 88),
    ("pop3", 110),
    ("sunrpc", 111),
    ("nntp", 119),
    ("ntp", 123),
    ("imap2", 143),
    ("imap", 143),
    ("snmp", 161),
    ("bgp", 179),
    ("ldap", 389),
    ("https", 443),
    ("microsoft-ds", 445),
    ("submissions", 465),
    ("syslog", 514),
    ("submission", 587),
    ("ldaps", 636),
    ("domain-s", 853),
    ("rsync", 873),
    ("ftps", 990),
    ("imaps", 993),
    ("pop3s", 995),
    ("socks", 1080),
    ("openvpn", 1194),
    ("ms-sql-s", 1433),
    ("radius", 1812),
    ("mqtt", 1883),
    ("nfs", 2049),
    ("etcd-client", 2379),
    ("mysql", 3306),
    ("rdp", 3389),
    ("stun", 3478),
    ("sip", 5060),
    ("xmpp-client", 5222),
    ("postgresql", 5432),
    ("amqps", 5671),
    ("amqp", 5672),
    ("redis", 6379),
    ("http-alt", 8080),
    ("secure-mqtt", 8883),
    ("memcache", 11211),
];

/// Returns the port of a service.
pub(super) fn port(name: &str) -> Option<u16> {
    SERVICES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, port)| *port)
}
