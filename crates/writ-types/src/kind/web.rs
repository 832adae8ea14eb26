//! Forms of names and addresses of the web.

use core::net::{Ipv4Addr, Ipv6Addr};

/// RFC 5321 §4.1.2, the part without quotes: a dot-atom, `@`, a host name. Lower case, because nobody keeps two mailboxes
/// apart by it and everybody types it as they like.
pub(super) fn email(text: &str) -> Option<String> {
    let (local, host) = text.rsplit_once('@')?;
    let atom = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-.".contains(&byte);
    let good = (1..=64).contains(&local.len())
        && local.bytes().all(atom)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..");
    let host = domain(host)?;
    good.then(|| format!("{}@{host}", local.to_ascii_lowercase()))
}

/// RFC 1123 §2.1: labels of letters, digits and inner hyphens. One final dot is the root and means nothing. A last label
/// of digits would be an address in disguise.
pub(super) fn domain(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    let numeric = last.starts_with(|first: char| first.is_ascii_digit())
        && (last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x"));
    (name.len() <= 253 && name.split('.').all(label) && !numeric).then_some(name)
}

/// RFC 3986, `http` and `https` alone or no scheme at all. User information, a backslash, a dot segment, a character that
/// should be encoded: readers differ in what they make of these, so there is no form for them.
pub(super) fn url(text: &str) -> Option<String> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
        None => (None, text),
    };
    let default_port = match scheme.as_deref() {
        Some("http") => Some("80"),
        Some("https") => Some("443"),
        None => None,
        Some(_other) => return None,
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at_checked(end)?;
    let (host, port) = host_and_port(authority)?;
    // Without a scheme, a single word is no address.
    if scheme.is_none() && !host.contains('.') {
        return None;
    }
    let port = port.filter(|port| Some(*port) != default_port);
    let tail = tail_form(tail)?;
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("//{host}{port}{tail}"))
}

fn host_and_port(authority: &str) -> Option<(String, Option<&str>)> {
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (address, rest) = bracketed.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        return Some((
            format!("[{address}]"),
            port_form(rest.strip_prefix(':'), rest)?,
        ));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, port_form(Some(port), port)?),
        None => (authority, None),
    };
    // The standard library reads a dotted quad without leading zeros and nothing else.
    let host = match host.parse::<Ipv4Addr>() {
        Ok(address) => address.to_string(),
        Err(_name) => domain(host)?,
    };
    Some((host, port))
}

/// The port without leading zeros; `rest` is what must be empty where there is none.
#[expect(clippy::option_option, reason = "no port and no form are two things")]
fn port_form<'a>(port: Option<&'a str>, rest: &str) -> Option<Option<&'a str>> {
    match port {
        None => rest.is_empty().then_some(None),
        Some("") => Some(None),
        Some(port) => {
            let plain = !port.starts_with('0') && port.bytes().all(|byte| byte.is_ascii_digit());
            (plain && port.parse::<u16>().is_ok()).then_some(Some(port))
        }
    }
}

/// Path, query and fragment: percent-encoded in one way, without dot segments.
fn tail_form(tail: &str) -> Option<String> {
    let mut form = String::with_capacity(tail.len());
    let mut bytes = tail.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let pair = [bytes.next()?, bytes.next()?];
            let text = std::str::from_utf8(&pair).ok()?;
            if !pair.iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            let decoded = u8::from_str_radix(text, 16).ok()?;
            if decoded.is_ascii_alphanumeric() || b"-._~".contains(&decoded) {
                form.push(char::from(decoded));
            } else {
                form.push('%');
                form.push_str(&text.to_ascii_uppercase());
            }
        } else if byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&byte) {
            form.push(char::from(byte));
        } else {
            return None;
        }
    }
    let end = form.find(['?', '#']).unwrap_or(form.len());
    let (path, rest) = form.split_at_checked(end)?;
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return None;
    }
    let path = if path.is_empty() { "/" } else { path };
    Some(format!("{path}{rest}"))
}
