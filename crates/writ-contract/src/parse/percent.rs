//! Percent-encoding (RFC 3986 §2.1): decoded exactly once, written in one way.

/// The text, decoded once; none if an escape is bad or the bytes are not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = hex(bytes.next()?)?;
            let low = hex(bytes.next()?)?;
            out.push(high << 4 | low);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// A part of a query or form, decoded once; `+` is a space (WHATWG URL §5.1).
pub(crate) fn decode_form(text: &str) -> Option<String> {
    if text.contains('+') {
        decode(&text.replace('+', " "))
    } else {
        decode(text)
    }
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

/// Appends `text` with everything but unreserved characters (RFC 3986 §2.3) escaped.
pub(crate) fn encode(text: &str, out: &mut String) {
    encode_but(text, "", out);
}

/// Appends a text that the contract wrote: `sub-delims`, `:` and `@` stay as they are.
pub(crate) fn encode_literal(text: &str, out: &mut String) {
    encode_but(text, "!$&'()*+,;=:@", out);
}

fn encode_but(text: &str, kept: &str, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| {
        DIGITS
            .get(usize::from(nibble))
            .map_or('0', |digit| char::from(*digit))
    };
    for byte in text.bytes() {
        let char = char::from(byte);
        let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if unreserved || byte.is_ascii() && kept.contains(char) {
            out.push(char);
        } else {
            out.push('%');
            out.push(digit(byte >> 4));
            out.push(digit(byte & 0xF));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bad_escapes_are_refused() {
        for bad in ["%", "%4", "%zz", "%+1", "%ff", "%c3%28", "%ED%A0%80"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        assert_eq!(decode("%252F+"), Some("%2F+".to_owned()));
        assert_eq!(decode_form("a+b%2Bc"), Some("a b+c".to_owned()));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(text in any::<String>()) {
            let mut out = String::new();
            encode(&text, &mut out);
            prop_assert!(out.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
            prop_assert_eq!(decode(&out), Some(text.clone()));
            prop_assert_eq!(decode_form(&out), Some(text));
        }
    }
}
