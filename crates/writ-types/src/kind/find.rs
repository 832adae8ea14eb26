//! Values in a text that people wrote.

use std::collections::BTreeSet;

use super::{Canonical, Kind, is_unseen, web};

/// An identifier in a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identifier {
    /// What it looks like.
    pub kind: Kind,
    /// Its form; none if it has none, and then nothing vouches for it.
    pub form: Option<Canonical>,
}

/// Whether `text` holds `value` as a word of its own.
pub(super) fn is_in(value: &Canonical, text: &str) -> bool {
    match value.kind() {
        Kind::Iban | Kind::Card => walks(value.as_str(), text, &[' ', '-']),
        Kind::Phone => walks(
            value.as_str(),
            text,
            &[' ', '-', '.', '(', ')', '/', '\u{A0}'],
        ),
        Kind::Email | Kind::Domain | Kind::Url | Kind::Uuid | Kind::Amount | Kind::Date => {
            let is_value = |word| value.kind().of_text(word).as_ref() == Some(value);
            words(text).any(|word| is_value(word) || sentence_end(word).is_some_and(is_value))
        }
        Kind::Text => {
            let folded: Vec<&str> = text.split_whitespace().collect();
            stands_in(value.as_str(), &folded.join(" "))
        }
        Kind::Own(_) => stands_in(value.as_str(), text),
    }
}

/// What stands before a full stop that a sentence follows without a space: `example.org` of `example.org.They`. A name's last
/// label is not written like the first word of a sentence after labels that are not.
fn sentence_end(word: &str) -> Option<&str> {
    let (before, after) = word.rsplit_once('.')?;
    let mut letters = after.chars();
    let begins = letters.next().is_some_and(char::is_uppercase) && letters.all(char::is_lowercase);
    let label = before.rsplit('.').next().unwrap_or_default();
    (begins && !label.chars().any(char::is_uppercase)).then_some(before)
}

/// The words of a text, without the marks around them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let around = |character: char| {
        character.is_whitespace()
            || matches!(character, '<' | '>' | '"' | '`' | '“' | '”' | '„' | '|')
    };
    text.split(around)
        .map(|word| {
            let begun =
                word.trim_start_matches(['(', '[', '{', '\'', '*', '_', '$', '€', '£', '‘']);
            begun.trim_end_matches([
                '.', ',', ';', ':', '!', '?', ')', ']', '}', '\'', '*', '_', '€', '$', '£', '’',
            ])
        })
        .filter(|word| !word.is_empty())
}

/// Whether the characters of `form` stand in `text` one after the other, with nothing but `separators` between them.
fn walks(form: &str, text: &str, separators: &[char]) -> bool {
    let mut before = None;
    for (at, character) in text.char_indices() {
        let begins = before.is_none_or(|before: char| !before.is_alphanumeric() && before != '+');
        before = Some(character);
        if !begins {
            continue;
        }
        let mut rest = text.get(at..).unwrap_or_default().chars().peekable();
        let matched = form.chars().enumerate().all(|(place, wanted)| {
            while place > 0 && rest.peek().is_some_and(|next| separators.contains(next)) {
                rest.next();
            }
            rest.next()
                .is_some_and(|found| found.eq_ignore_ascii_case(&wanted))
        });
        if matched && rest.next().is_none_or(|next| !next.is_alphanumeric()) {
            return true;
        }
    }
    false
}

/// Whether `value` stands in `text` between what belongs to no word.
fn stands_in(value: &str, text: &str) -> bool {
    let letters = value.chars().any(char::is_alphabetic);
    if value.chars().count() < 3 && letters || !value.chars().any(char::is_alphanumeric) {
        return false;
    }
    // A few digits stand for anything: only called an id they are one.
    let loose = letters || value.len() > 5;
    text.match_indices(value).any(|(at, _)| {
        let (before, after) = text.split_at_checked(at).unwrap_or_default();
        let after = after.get(value.len()..).unwrap_or_default();
        let mut next = after.chars();
        let ends = match next.next() {
            None => true,
            Some('.' | ',' | '\'' | ':' | '/') => {
                next.next().is_none_or(|next| !next.is_alphanumeric())
            }
            Some(next) => !next.is_alphanumeric() && !matches!(next, '_' | '@' | '-' | '+'),
        };
        let begins = before.chars().next_back().is_none_or(|before| {
            !before.is_alphanumeric() && !matches!(before, '_' | '@' | '-' | '+' | '.' | '/')
        });
        begins && ends && (loose || is_called_an_id(before))
    })
}

/// Whether a text ends by announcing an id: `id 7`, `ID: 7`, `#7`, `number 7`, `no. 7`.
fn is_called_an_id(before: &str) -> bool {
    if before.ends_with('#') {
        return true;
    }
    let trimmed = before.trim_end_matches([' ', ':', '=', '.', '\'', '"', '`']);
    let word = trimmed
        .rsplit(|character: char| !character.is_alphanumeric())
        .next()
        .unwrap_or_default();
    ["id", "number", "no", "nr"]
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known))
}

/// Every identifier of a text once, in no order that means anything; none if there are more than `most`.
pub(super) fn identifiers(text: &str, most: usize) -> Option<Vec<Identifier>> {
    let folded = fold(text);
    let mut found = BTreeSet::new();
    for word in words(&folded) {
        of_word(word, most, &mut found)?;
        if let Some(decoded) = percent_decoded(word) {
            for word in words(&decoded) {
                of_word(word, most, &mut found)?;
            }
        }
    }
    numbers(&folded, most, &mut found)?;
    Some(found.into_iter().collect())
}

/// The text as a person reads it: without what is not seen, wide letters narrow, the dots of other scripts as dots.
pub(super) fn fold(text: &str) -> String {
    let narrow = |character: char| match character {
        '\u{FF01}'..='\u{FF5E}' => u32::from(character)
            .checked_sub(0xFEE0)
            .and_then(char::from_u32)
            .unwrap_or(character),
        '\u{3002}' | '\u{FF61}' | '\u{2024}' => '.',
        '\u{2044}' | '\u{2215}' => '/',
        '\u{A0}' | '\u{2002}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => ' ',
        other => other,
    };
    let seen = text.chars().filter(|character| !is_unseen(*character));
    seen.map(narrow).collect()
}

fn percent_decoded(word: &str) -> Option<String> {
    if !word.contains('%') {
        return None;
    }
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digit = |at: usize| tail.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let decoded = match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                u8::try_from(high.saturating_mul(16).saturating_add(low)).ok()
            }
            _ => None,
        };
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() {
            tail.get(2..).unwrap_or_default()
        } else {
            tail
        };
    }
    Some(fold(&String::from_utf8_lossy(&bytes)))
}

/// Every identifier that one word is or has in it; none once there are more than `most`.
///
/// What is found hides nothing beside it: the word is cut where an address begins and ends, and every piece is looked at.
fn of_word(word: &str, most: usize, found: &mut BTreeSet<Identifier>) -> Option<()> {
    let mut pieces = vec![word];
    while let Some(piece) = pieces.pop() {
        let Some(address) = Address::first(piece) else {
            of_piece(piece, most, found)?;
            continue;
        };
        let (before, rest) = piece.split_at_checked(address.begin).unwrap_or_default();
        let (start, rest) = rest.split_at_checked(address.start).unwrap_or_default();
        // The next address begins a piece of its own, and what follows a bracket belongs to the text around it.
        let next = Address::first(rest).map_or(rest.len(), |next| next.begin);
        let (own, _) = rest.split_at_checked(next).unwrap_or_default();
        let end = own.find(BRACKETS).unwrap_or(own.len());
        let (own, _) = own.split_at_checked(end).unwrap_or_default();
        let own = if end == next {
            own.trim_end_matches([',', ';', '|'])
        } else {
            own
        };
        let url = format!("{start}{own}");
        add(Kind::Url, address.plain.then_some(&url), most, found)?;
        pieces.push(before);
        pieces.push(rest.get(end..).unwrap_or_default());
    }
    Some(())
}

/// Brackets end an address, and so does a quote.
const BRACKETS: [char; 7] = ['(', ')', '[', ']', '{', '}', '\''];

/// Where an address with a scheme stands in a word.
struct Address {
    /// Where its scheme begins.
    begin: usize,
    /// The length of the scheme with what follows it up to the host.
    start: usize,
    /// That is `://` and nothing else.
    plain: bool,
}

impl Address {
    /// The first of a word. Browsers take `https:/`, `https:\\` and any number of either for `https://`.
    fn first(word: &str) -> Option<Self> {
        word.match_indices(':').find_map(|(at, _)| {
            let (before, after) = word.split_at_checked(at)?;
            let after = after.get(1..)?;
            let slashes = after
                .len()
                .saturating_sub(after.trim_start_matches(SLASHES).len());
            let scheme = scheme_at_end(before);
            let lower = scheme.to_ascii_lowercase();
            let of_the_web = lower.ends_with("http")
                || lower.ends_with("https")
                || ["ws", "wss", "ftp", "file"].contains(&lower.as_str());
            let plain = after.starts_with("//") && slashes == 2;
            let is_one = after.starts_with("//") || of_the_web && slashes > 0;
            is_one.then(|| Self {
                begin: before.len().saturating_sub(scheme.len()),
                start: scheme.len().saturating_add(1).saturating_add(slashes),
                plain,
            })
        })
    }
}

const SLASHES: [char; 2] = ['/', '\\'];

fn add(
    kind: Kind,
    text: Option<&String>,
    most: usize,
    found: &mut BTreeSet<Identifier>,
) -> Option<()> {
    let form = text.and_then(|text| kind.of_text(text));
    found.insert(Identifier { kind, form });
    (found.len() <= most).then_some(())
}

/// The identifiers without `scheme://`: addresses as pages and people write them, and mailboxes.
fn of_piece(piece: &str, most: usize, found: &mut BTreeSet<Identifier>) -> Option<()> {
    let around = |character: char| BRACKETS.contains(&character) || matches!(character, ',' | ';');
    for part in piece.split(around) {
        let mut begin = 0;
        for value in part.split(['=', ':']) {
            let rest = part.get(begin..).unwrap_or_default();
            begin = begin.saturating_add(value.len()).saturating_add(1);
            let host = rest.trim_start_matches(SLASHES);
            let slashes = rest.len().saturating_sub(host.len());
            if is_script(rest) {
                add(Kind::Url, Some(&rest.to_owned()), most, found)?;
            } else if slashes >= 2 && host.contains('.') {
                // An address of the page's own scheme.
                let plain = rest.starts_with("//") && slashes == 2;
                add(Kind::Url, plain.then_some(&host.to_owned()), most, found)?;
                break;
            } else if let Some((local, host)) = value.rsplit_once('@')
                && !local.is_empty()
                && host.contains('.')
            {
                add(Kind::Email, Some(&value.to_owned()), most, found)?;
            } else if let Some(url) = bare_host(value, rest) {
                // All that follows is of the same address, and a value of its query could be anything.
                add(Kind::Url, Some(&url.to_owned()), most, found)?;
                break;
            }
        }
    }
    Some(())
}

/// The address that begins in `value` without a scheme, to the end of `rest`, which begins as `value` does.
fn bare_host<'t>(value: &str, rest: &'t str) -> Option<&'t str> {
    let mut before = None;
    let begins = value.char_indices().filter_map(|(at, character)| {
        let after: Option<char> = before.replace(character);
        let begins = after.is_none_or(|before| {
            let is_www = || {
                let next = value.get(at..).and_then(|next| next.get(..4));
                next.is_some_and(|next| next.eq_ignore_ascii_case("www."))
            };
            !before.is_alphanumeric() && (!"@._-/".contains(before) || is_www())
        });
        (begins && (character.is_alphanumeric() || after.is_none())).then_some(at)
    });
    begins
        .filter_map(|at| rest.get(at..))
        .find(|url| looks_like_a_host(url))
}

/// Whether a text is an address that does something where it stands.
fn is_script(text: &str) -> bool {
    ["javascript:", "data:", "vbscript:", "tel:", "sms:"]
        .iter()
        .any(|scheme| {
            let begin = text.get(..scheme.len());
            begin.is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
                && text.len() > scheme.len()
        })
}

/// The scheme that a text ends with; `//` alone is an address too.
fn scheme_at_end(before: &str) -> &str {
    let other = |character: char| !character.is_ascii_alphanumeric() && !"+-.".contains(character);
    before.rsplit(other).next().unwrap_or_default()
}

/// Whether a word without a scheme would be read as an address: `www.`, a path after a host, or a well-known last label.
fn looks_like_a_host(word: &str) -> bool {
    let ends = |character: char| {
        character.is_ascii() && !character.is_ascii_alphanumeric() && !".-_@".contains(character)
    };
    let end = word.find(ends).unwrap_or(word.len());
    let (host, tail) = word.split_at_checked(end).unwrap_or_default();
    let host = host.trim_start_matches('@');
    if !host.contains('.') {
        return false;
    }
    let last = host.rsplit('.').next().unwrap_or_default().to_lowercase();
    let named = last.chars().count() >= 2 && last.chars().all(char::is_alphabetic);
    let first = host.split('.').next().unwrap_or_default();
    let well_known = WELL_KNOWN.contains(&last.as_str());
    let lookalike = !host.is_ascii() && named;
    first.eq_ignore_ascii_case("www")
        || named && tail.len() > 1 && tail.starts_with(['/', '\\', '?', ':']) && !first.is_empty()
        || named && well_known && (web::domain(host).is_some() || lookalike)
}

/// Last labels that mail and chat programs make a link of. A bare `name.label` with another one is taken for a file.
const WELL_KNOWN: [&str; 40] = [
    "com", "net", "org", "io", "dev", "app", "info", "biz", "xyz", "site", "online", "top", "shop",
    "club", "link", "live", "cloud", "page", "tech", "store", "eu", "uk", "de", "fr", "nl", "ch",
    "at", "ru", "cn", "us", "ca", "au", "jp", "br", "in", "me", "co", "tv", "cc", "su",
];

/// Bank accounts and telephone numbers, which may have spaces in them.
fn numbers(text: &str, most: usize, found: &mut BTreeSet<Identifier>) -> Option<()> {
    let mut before = None;
    for (at, character) in text.char_indices() {
        let begins = before.is_none_or(|before: char| !before.is_alphanumeric());
        before = Some(character);
        if !begins {
            continue;
        }
        let rest = text.get(at..).unwrap_or_default();
        if character == '+' {
            let run = run(
                rest,
                |character| character.is_ascii_digit(),
                &[' ', '-', '.', '(', ')', '/'],
                32,
            );
            if let Some(form) = Kind::Phone.of_text(run) {
                found.insert(Identifier {
                    kind: Kind::Phone,
                    form: Some(form),
                });
            }
        } else if character.is_ascii_alphabetic() && looks_like_an_iban(rest) {
            // Words may follow without anything between: the longest form that is one, checked if any checks.
            let run = run(
                rest,
                |character| character.is_ascii_alphanumeric(),
                &[' ', '-'],
                48,
            );
            found.extend(ibans(run).map(|form| Identifier {
                kind: Kind::Iban,
                form: Some(form),
            }));
        }
        if found.len() > most {
            return None;
        }
    }
    Some(())
}

/// Two letters, two digits, and mostly digits after.
fn looks_like_an_iban(text: &str) -> bool {
    let mut head = text
        .chars()
        .filter(|character| !matches!(character, ' ' | '-'));
    let mut next = |good: fn(&char) -> bool| head.next().is_some_and(|character| good(&character));
    next(char::is_ascii_alphabetic)
        && next(char::is_ascii_alphabetic)
        && next(char::is_ascii_digit)
        && next(char::is_ascii_digit)
}

/// The bank account a run of groups begins with: each cut between groups is tried, and one whose check digits are right is
/// it; otherwise the run up to the first group without a digit.
fn ibans(run: &str) -> impl Iterator<Item = Canonical> {
    let cuts = run
        .char_indices()
        .filter(|(_, character)| matches!(character, ' ' | '-'))
        .map(|(at, _)| at)
        .chain([run.len()]);
    let forms: Vec<Canonical> = cuts
        .filter_map(|cut| Kind::Iban.of_text(run.get(..cut)?))
        .collect();
    let checked = forms.iter().find(|form| form.checks()).cloned();
    let digits = |form: &&Canonical| {
        form.as_str()
            .get(4..)
            .is_some_and(|account| account.bytes().filter(u8::is_ascii_digit).count() >= 8)
    };
    let first = forms.iter().find(digits).cloned();
    checked.or(first).into_iter()
}

/// The longest run of wanted characters and separators at the start of a text, `+` first allowed.
fn run<'a>(text: &'a str, wanted: fn(char) -> bool, separators: &[char], most: usize) -> &'a str {
    let mut end = 0usize;
    for (at, character) in text.char_indices() {
        let kept = wanted(character) || at == 0 && character == '+';
        if at >= most || !kept && !separators.contains(&character) {
            break;
        }
        if kept {
            end = at.saturating_add(character.len_utf8());
        }
    }
    text.get(..end).unwrap_or_default()
}
