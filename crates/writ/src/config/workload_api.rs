//! The address of a Workload API, as settings write it (SPIFFE Workload Endpoint §4).

use std::path::{Component, Path, PathBuf};

/// In place of an address: the one that `SPIFFE_ENDPOINT_SOCKET` holds.
const FROM_ENVIRONMENT: &str = "env:SPIFFE_ENDPOINT_SOCKET";
/// Longest path that a socket's address holds, in bytes.
const LONGEST: usize = 107;

/// The socket that an address means, or why it means none. `environment` is what `SPIFFE_ENDPOINT_SOCKET` holds; nobody looks
/// at it unless the address asks for that.
pub(super) fn socket(address: &str, environment: Option<&str>) -> Result<PathBuf, &'static str> {
    let address = if address == FROM_ENVIRONMENT {
        environment.ok_or("`SPIFFE_ENDPOINT_SOCKET` is not set in the environment of Writ")?
    } else {
        address
    };
    let Some(rest) = address.strip_prefix("unix:") else {
        // What listens on a port could be anybody: there is no way to tell.
        return Err("an address is `unix:///…`; `tcp` is not served");
    };
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err("the path is absolute and the authority empty: `unix:///run/…`");
    }
    if path.contains(['%', '?', '#', '\0']) {
        return Err("an address has no `%`, query or fragment");
    }
    let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    if path.ends_with('/') || path.contains("//") || !Path::new(path).components().all(plain) {
        return Err("the path leads to a socket, without `..` and empty parts");
    }
    if path.len() > LONGEST {
        return Err("the path of a socket is at most 107 bytes long");
    }
    Ok(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_absolute_path_of_a_socket() {
        let long = format!("unix:///{}", "a".repeat(107));
        let fits = format!("unix:///{}", "a".repeat(106));
        for (address, environment, wanted) in [
            (
                "unix:///run/spire/agent.sock",
                None,
                Some("/run/spire/agent.sock"),
            ),
            (
                "unix:/run/spire/agent.sock",
                None,
                Some("/run/spire/agent.sock"),
            ),
            (fits.as_str(), None, fits.strip_prefix("unix://")),
            ("env:SPIFFE_ENDPOINT_SOCKET", Some("unix:///a"), Some("/a")),
            ("unix:///b", Some("unix:///a"), Some("/b")),
            ("env:SPIFFE_ENDPOINT_SOCKET", None, None),
            (
                "env:SPIFFE_ENDPOINT_SOCKET",
                Some("tcp://127.0.0.1:8000"),
                None,
            ),
            (
                "env:SPIFFE_ENDPOINT_SOCKET",
                Some("env:SPIFFE_ENDPOINT_SOCKET"),
                None,
            ),
            ("env:OTHER", Some("unix:///a"), None),
            ("", Some("unix:///a"), None),
            ("/run/spire/agent.sock", None, None),
            ("unix:agent.sock", None, None),
            ("unix:./agent.sock", None, None),
            ("unix://agent.sock", None, None),
            ("unix://localhost/agent.sock", None, None),
            ("unix:////agent.sock", None, None),
            ("unix:///run/../agent.sock", None, None),
            ("unix:///run/spire/", None, None),
            ("unix:///", None, None),
            ("unix:///a%2fb", None, None),
            ("unix:///a?b", None, None),
            ("unix:///a#b", None, None),
            ("UNIX:///a", None, None),
            ("tcp://127.0.0.1:8081", None, None),
            ("http://127.0.0.1:8081", None, None),
            (&long, None, None),
        ] {
            let read = socket(address, environment).ok();
            assert_eq!(read.as_deref(), wanted.map(Path::new), "{address}");
        }
    }
}
