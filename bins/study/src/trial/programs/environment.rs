//! The environment of a trial's programs: who listens where, as each of them is to see it.

use super::program::Role;
use std::ffi::OsString;
use std::net::SocketAddr;

/// Returns the entries of an address: whole, and in its parts.
fn address(name: [&'static str; 3], at: SocketAddr) -> [(&'static str, OsString); 3] {
    let texts = [at.to_string(), at.ip().to_string(), at.port().to_string()];
    let [whole, host, port] = texts.map(OsString::from);
    let [of_whole, of_host, of_port] = name;
    [(of_whole, whole), (of_host, host), (of_port, port)]
}

/// Returns the entries that say where the server and the proxy listen. Client and check find the
/// proxy as the server, too: nothing of theirs may go past it.
pub(super) fn addresses(
    role: Role,
    server: SocketAddr,
    proxy: SocketAddr,
) -> Vec<(&'static str, OsString)> {
    let seen = if role == Role::Server { server } else { proxy };
    let mut entries = vec![("JOSTLE_LISTEN", server.to_string().into())];
    entries.extend(address(["JOSTLE_PROXY", "JOSTLE_PROXY_HOST", "JOSTLE_PROXY_PORT"], proxy));
    entries.extend(address(["JOSTLE_SERVER", "JOSTLE_SERVER_HOST", "JOSTLE_SERVER_PORT"], seen));
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_server_sees_where_it_listens_itself() {
        let (server, proxy) = ("[::1]:5001".parse().unwrap(), "127.0.0.1:7001".parse().unwrap());
        let entry = |role, name: &str| {
            let found = addresses(role, server, proxy);
            let found: Vec<_> = found.into_iter().filter(|(own, _)| *own == name).collect();
            assert_eq!(found.len(), 1, "{name}");
            found[0].1.to_str().unwrap().to_owned()
        };
        for role in [Role::Server, Role::Client, Role::Check] {
            assert_eq!(entry(role, "JOSTLE_PROXY"), "127.0.0.1:7001");
            assert_eq!(entry(role, "JOSTLE_PROXY_PORT"), "7001");
            assert_eq!(entry(role, "JOSTLE_LISTEN"), "[::1]:5001");
        }
        assert_eq!(entry(Role::Server, "JOSTLE_SERVER"), "[::1]:5001");
        assert_eq!(entry(Role::Server, "JOSTLE_SERVER_HOST"), "::1");
        assert_eq!(entry(Role::Client, "JOSTLE_SERVER"), "127.0.0.1:7001");
        assert_eq!(entry(Role::Check, "JOSTLE_SERVER_PORT"), "7001");
    }
}
