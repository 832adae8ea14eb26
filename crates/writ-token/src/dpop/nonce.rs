//! Server nonces (RFC 9449 §8, §9) without state: a keyed digest of the time window.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use writ_types::{KeyedDigest, Secret, Timestamp};

use crate::jose::base64url;

/// Whether a proof must hold a nonce of ours.
#[derive(Debug, Clone, Copy)]
pub enum NonceCheck<'a> {
    /// A current nonce of this issuer must be in it.
    Required(&'a NonceIssuer),
    /// No nonce was given out; the age of the proof and the replay cache are all there is.
    NotIssued,
}

impl NonceCheck<'_> {
    pub(super) fn accepts(self, nonce: Option<&str>, now: Timestamp) -> bool {
        match self {
            Self::Required(issuer) => nonce.is_some_and(|nonce| issuer.accepts(nonce, now)),
            Self::NotIssued => true,
        }
    }
}

/// Makes and recognises nonces. The secret is made at boot and never stored, so that no proof outlives the process that
/// asked for it.
#[derive(Debug)]
pub struct NonceIssuer {
    secret: Secret<[u8; 32]>,
    window: Duration,
}

impl NonceIssuer {
    /// How long a nonce is given out; it is accepted for as long again.
    pub const WINDOW: Duration = Duration::from_secs(120);

    /// Nonces under a secret of 32 random bytes that is new at every boot.
    #[must_use]
    pub const fn new(secret: Secret<[u8; 32]>) -> Self {
        Self {
            secret,
            window: Self::WINDOW,
        }
    }

    /// The nonce of the window `now` lies in.
    #[must_use]
    pub fn issue(&self, now: Timestamp) -> String {
        self.of_window(self.window_at(now))
    }

    /// Whether `nonce` is the one of this window or of the one before.
    #[must_use]
    pub fn accepts(&self, nonce: &str, now: Timestamp) -> bool {
        let current = self.window_at(now);
        let previous = current.checked_sub(1);
        [Some(current), previous]
            .into_iter()
            .flatten()
            .any(|window| {
                let known = self.of_window(window);
                verify_slices_are_equal(known.as_bytes(), nonce.as_bytes()).is_ok()
            })
    }

    fn window_at(&self, now: Timestamp) -> u64 {
        let millis = u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX);
        now.millis_since_epoch().checked_div(millis).unwrap_or(0)
    }

    fn of_window(&self, window: u64) -> String {
        let tag = KeyedDigest::of(&self.secret, "writ dpop nonce v1", &window.to_be_bytes());
        base64url::encode(
            tag.as_bytes()
                .first_chunk::<16>()
                .map_or(&[][..], |half| half),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_in_its_window_and_the_next() {
        let issuer = NonceIssuer::new(Secret::new([7; 32]));
        let begin = Timestamp::from_secs(120 * 1000);
        let nonce = issuer.issue(begin);
        assert_eq!(nonce.len(), 22);
        for (secs, good) in [
            (0, true),
            (119, true),
            (120, true),
            (239, true),
            (240, false),
        ] {
            let now = begin.plus(Duration::from_secs(secs));
            assert_eq!(issuer.accepts(&nonce, now), good, "{secs}");
        }
        assert!(
            !issuer.accepts(&nonce, begin.minus(Duration::from_millis(1))),
            "not yet given out"
        );
        let other = NonceIssuer::new(Secret::new([8; 32]));
        assert!(!other.accepts(&nonce, begin), "another boot");
        assert!(
            !issuer.accepts("", begin)
                && !issuer.accepts(nonce.trim_end_matches(char::is_alphanumeric), begin)
        );
    }
}
