//! Detectors: what a response holds, whatever its contract calls it.
//!
//! Credentials, keys and tokens are `secret`; mailboxes, bank accounts, payment cards, telephone and social security numbers are
//! `pii`. A detector works on bytes as they come, in one pass and in bounded memory, and says nothing about JSON, so that it
//! serves a stream as well as a body that was read whole. It can be evaded by whoever wants to (an encoding is enough); a
//! label from the overlay cannot. It is for what the API's owner forgot.

use std::collections::BTreeSet;

use writ_types::{Kind, Label};

/// Most bytes of a word that are kept. Every pattern is decided within; a longer word is decided by its beginning.
const LONGEST_WORD: usize = 512;

/// Looks for credentials and personal data in bytes that come in parts.
#[derive(Debug, Clone, Default)]
pub struct Detector {
    word: Vec<u8>,
    /// The group of digits before this one, for numbers that are written in groups.
    groups: Vec<u8>,
    /// The last words, for what is announced by the one before: `-----BEGIN … PRIVATE KEY-----`, `"password": "…"`.
    before: Announced,
    secret: bool,
    pii: bool,
}

/// What the word before announced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Announced {
    #[default]
    Nothing,
    /// `BEGIN`
    Begin,
    /// `PRIVATE`, after `BEGIN`.
    Private,
    /// A member or parameter that holds a secret.
    Secret,
    /// `Bearer` or `Basic`.
    Scheme,
}

impl Detector {
    /// A detector that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What a whole body holds.
    #[must_use]
    pub fn labels_of(bytes: &[u8]) -> BTreeSet<Label> {
        let mut detector = Self::new();
        detector.pass(bytes);
        detector.end()
    }

    /// Takes the next bytes, and says what was found so far. What spans this part and the next is found with the next.
    pub fn pass(&mut self, bytes: &[u8]) -> BTreeSet<Label> {
        let mut rest = bytes;
        // Nothing more to find when both are.
        while !(self.secret && self.pii || rest.is_empty()) {
            let end = rest.iter().position(|byte| !is_word(*byte));
            let (run, after) = rest.split_at(end.unwrap_or(rest.len()));
            let Some((separator, after)) = after.split_first() else {
                self.keep(run);
                break;
            };
            if self.word.is_empty() {
                self.end_word(run, *separator);
            } else {
                self.keep(run);
                let word = std::mem::take(&mut self.word);
                self.end_word(&word, *separator);
            }
            rest = after;
        }
        self.found()
    }

    /// The end: what was found in all.
    #[must_use]
    pub fn end(mut self) -> BTreeSet<Label> {
        let word = std::mem::take(&mut self.word);
        self.end_word(&word, b'\n');
        self.found()
    }

    /// Keeps the beginning of a word whose end has not come; what it is already, it is.
    fn keep(&mut self, run: &[u8]) {
        let room = LONGEST_WORD.saturating_sub(self.word.len());
        self.word.extend_from_slice(run.get(..room).unwrap_or(run));
        let text = std::str::from_utf8(&self.word).unwrap_or_default();
        self.secret |= self.before.makes_secret(text) || is_secret(text);
        self.pii |= is_personal(text);
    }

    fn found(&self) -> BTreeSet<Label> {
        let words = [(self.secret, "secret"), (self.pii, "pii")];
        words
            .into_iter()
            .filter(|(found, _)| *found)
            .filter_map(|(_, word)| word.parse().ok())
            .collect()
    }

    fn end_word(&mut self, word: &[u8], separator: u8) {
        if word.is_empty() {
            // Groups of digits have one separator between them.
            if !matches!(separator, b'"' | b':') {
                self.groups.clear();
            }
            return;
        }
        let word = word.get(..LONGEST_WORD).unwrap_or(word);
        let text = std::str::from_utf8(word).unwrap_or_default();
        self.secret |= self.before.makes_secret(text) || is_secret(text);
        self.pii |= is_personal(text);
        self.before = self.before.next(text);
        self.group(text, separator);
    }

    /// Collects a bank account, a card or a telephone number that is written in groups.
    fn group(&mut self, word: &str, separator: u8) {
        if self.groups.is_empty() && !word.bytes().any(|byte| byte.is_ascii_digit()) {
            return;
        }
        let text = word.trim_end_matches('.');
        let grouped = text.len() <= 34
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'-')
            && text.bytes().any(|byte| byte.is_ascii_digit());
        if grouped && self.groups.len().saturating_add(text.len()) <= 64 {
            self.groups.extend_from_slice(text.as_bytes());
            self.pii |= is_number(std::str::from_utf8(&self.groups).unwrap_or_default());
            if separator == b' ' && text.len() == word.len() {
                self.groups.push(b' ');
                return;
            }
        }
        self.groups.clear();
    }
}

/// What words are made of here: the characters of tokens, addresses and numbers.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'_' | b'-' | b'.' | b'+' | b'/' | b'@' | b'=' | b'~' | b'%'
        )
}

/// Prefixes that issuers give their tokens so that they can be found, with the fewest characters that follow.
const PREFIXES: &[(&str, usize)] = &[
    ("ghp_", 36),
    ("gho_", 36),
    ("ghu_", 36),
    ("ghs_", 36),
    ("ghr_", 36),
    ("github_pat_", 40),
    ("glpat-", 20),
    ("gldt-", 20),
    ("glrt-", 20),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("xoxa-", 20),
    ("xoxr-", 20),
    ("xoxs-", 20),
    ("xapp-", 20),
    ("sk_live_", 16),
    ("rk_live_", 16),
    ("sk_test_", 16),
    ("whsec_", 20),
    ("sk-proj-", 20),
    ("sk-ant-", 20),
    ("sk-or-", 20),
    ("hf_", 30),
    ("r8_", 30),
    ("AIza", 35),
    ("ya29.", 20),
    ("GOCSPX-", 20),
    ("npm_", 36),
    ("pypi-", 40),
    ("dop_v1_", 40),
    ("SG.", 40),
    ("shpat_", 30),
    ("lin_api_", 30),
    ("hvs.", 20),
    ("hvb.", 20),
    ("ATATT3", 40),
    ("PMAK-", 30),
    ("dckr_pat_", 20),
    ("AGE-SECRET-KEY-1", 40),
];

/// Members and parameters that hold a secret by their name, without `_` and `-`, in lower case.
const NAMES: &[&str] = &[
    "password",
    "passwd",
    "pwd",
    "secret",
    "clientsecret",
    "apikey",
    "apisecret",
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "authtoken",
    "sessiontoken",
    "privatekey",
    "secretkey",
    "secretaccesskey",
    "signingkey",
    "encryptionkey",
    "passphrase",
    "connectionstring",
    "webhooksecret",
    "awssecretaccesskey",
    "recoverycode",
    "otpsecret",
];

fn is_secret(word: &str) -> bool {
    // Most words are shorter than any of these.
    if word.len() < 12 {
        return false;
    }
    let rest_is_token = |rest: &str, least: usize| {
        rest.len() >= least
            && rest.bytes().all(|byte| {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b'_' | b'-' | b'.' | b'=' | b'/' | b'+')
            })
            && rest
                .bytes()
                .any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
    };
    // A token may stand after `key=` in a connection string or a query.
    word.split('=').chain([word]).any(|word| {
        let prefixed = PREFIXES.iter().any(|(prefix, least)| {
            word.strip_prefix(prefix)
                .is_some_and(|rest| rest_is_token(rest, *least))
        });
        prefixed || is_aws_key(word) || is_jwt(word)
    }) || is_address_with_password(word)
        || word
            .split_once('=')
            .is_some_and(|(name, value)| is_secret_name(name) && is_opaque(value, 8))
}

fn is_secret_name(word: &str) -> bool {
    let plain = || {
        let letters = word.bytes().filter(u8::is_ascii_alphanumeric);
        letters.map(|byte| byte.to_ascii_lowercase())
    };
    (3..=32).contains(&word.len()) && NAMES.iter().any(|name| name.bytes().eq(plain()))
}

/// Letters and digits together, as no word of a language has them.
fn is_opaque(word: &str, least: usize) -> bool {
    word.len() >= least
        && word.bytes().any(|byte| byte.is_ascii_digit())
        && word.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// An AWS access key id.
fn is_aws_key(word: &str) -> bool {
    word.len() == 20
        && ["AKIA", "ASIA"]
            .iter()
            .any(|prefix| word.starts_with(prefix))
        && word
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// A JSON Web Token (RFC 7519): two base64url objects and a signature.
fn is_jwt(word: &str) -> bool {
    let mut parts = word.split('.');
    let object =
        |part: Option<&str>| part.is_some_and(|part| part.starts_with("eyJ") && part.len() >= 12);
    object(parts.next()) && object(parts.next()) && parts.next().is_some()
}

/// `user:password@host` loses its `:` to the words, so what is left begins with `//` of the scheme: `//user` is one word,
/// `password@host/db` the next.
fn is_address_with_password(word: &str) -> bool {
    word.split_once('@').is_some_and(|(secret, host)| {
        host.contains('/') && !secret.is_empty() && !secret.contains('/')
    })
}

impl Announced {
    fn next(self, word: &str) -> Self {
        let mut pieces = word.rsplit(['-', '=']);
        let bare = pieces.find(|piece| !piece.is_empty()).unwrap_or_default();
        match (self, bare) {
            (_, "BEGIN") => Self::Begin,
            (Self::Begin, "PRIVATE") => Self::Private,
            (Self::Begin, "RSA" | "EC" | "DSA" | "OPENSSH" | "ENCRYPTED" | "PGP") => Self::Begin,
            (_, "Bearer" | "bearer") => Self::Scheme,
            _ if is_secret_name(word.rsplit('=').next().unwrap_or_default()) => Self::Secret,
            _ => Self::Nothing,
        }
    }

    /// Whether the word after is the secret that was announced.
    fn makes_secret(self, word: &str) -> bool {
        match self {
            Self::Nothing | Self::Begin => false,
            Self::Private => word.trim_matches('-').starts_with("KEY"),
            Self::Secret => is_opaque(word, 8),
            Self::Scheme => is_opaque(word, 20),
        }
    }
}

/// A mailbox. Those that belong to machines are no person's.
fn is_personal(word: &str) -> bool {
    if !word.contains('@') {
        return false;
    }
    let trimmed = word.trim_end_matches('.');
    let Some((local, host)) = trimmed.rsplit_once('@') else {
        return false;
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    let machine = [
        "git",
        "noreply",
        "no-reply",
        "donotreply",
        "postmaster",
        "mailer-daemon",
        "root",
        "example",
    ];
    Kind::Email.of_text(trimmed).is_some()
        && host.contains('.')
        && last.len() >= 2
        && last.bytes().all(|byte| byte.is_ascii_alphabetic())
        && !["png", "jpg", "jpeg", "gif", "svg", "webp", "js", "css"].contains(&last)
        && !machine.iter().any(|name| local.eq_ignore_ascii_case(name))
}

/// A bank account, a payment card, a telephone number or a US social security number whose check digits, or whose form
/// where it has none, leave little doubt.
fn is_number(groups: &str) -> bool {
    let groups = groups.trim();
    let iban = Kind::Iban.of_text(groups).is_some_and(|form| form.checks());
    let card = is_card(groups);
    let phone = groups.starts_with('+')
        && Kind::Phone.of_text(groups).is_some()
        && groups.bytes().filter(u8::is_ascii_digit).count() >= 10;
    iban || card || phone || is_social_security(groups)
}

/// Thirteen to nineteen digits of a known issuer, checked by Luhn, in one run or in groups of four.
fn is_card(groups: &str) -> bool {
    let digits = groups.bytes().filter(u8::is_ascii_digit).count();
    let issuer = groups.starts_with(['2', '3', '4', '5', '6']);
    let grouped = groups
        .split([' ', '-'])
        .all(|group| group.len() >= 3 && group.len() <= 6 || group.len() == digits);
    (13..=19).contains(&digits)
        && issuer
        && grouped
        && Kind::Card.of_text(groups).is_some_and(|form| form.checks())
}

/// `AAA-GG-SSSS`, none of the parts zero, no area that is not given out.
fn is_social_security(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let [area, group, serial] = parts.as_slice() else {
        return false;
    };
    (area.len(), group.len(), serial.len()) == (3, 2, 4)
        && parts.iter().all(|part| digits(part))
        && !matches!(*area, "000" | "666")
        && !area.starts_with('9')
        && *group != "00"
        && *serial != "0000"
}

#[cfg(test)]
mod tests;
