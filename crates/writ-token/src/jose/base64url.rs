//! base64url without padding and without slack (RFC 7515 §2, RFC 4648 §3.5): every byte string has exactly one text.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The text of `bytes`.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of `text`; none for padding, white space, another alphabet, or unused bits that are set.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// The 32 bytes of `text`; none if it is no text of 32 bytes.
pub(crate) fn decode_digest(text: &str) -> Option<[u8; 32]> {
    decode(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_per_byte_string() {
        assert_eq!(decode("AQAB"), Some(vec![1, 0, 1]));
        assert_eq!(decode("_-8"), Some(vec![255, 239]));
        for bad in [
            "AQ==", "AQ=", "AB", "A", "/-8", "_+8", " AQAB", "AQAB\n", "AQ AB",
        ] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
        assert_eq!(encode(&[255, 239]), "_-8");
    }
}
