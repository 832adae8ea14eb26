//! Forms that are mostly digits.

/// The characters without the separators that people put between groups; none if something else is among them.
fn without(text: &str, separators: &[char]) -> Option<String> {
    let kept: String = text
        .chars()
        .filter(|character| !separators.contains(character))
        .collect();
    kept.is_ascii().then_some(kept)
}

/// ISO 13616: two letters, two digits, eleven to thirty letters or digits. The check digits are the bank's matter: a number
/// that fails them is equal to itself all the same, and to nothing else.
pub(super) fn iban(text: &str) -> Option<String> {
    let form = without(text, &[' ', '-'])?.to_ascii_uppercase();
    let (country, rest) = form.split_at_checked(2)?;
    let (check, account) = rest.split_at_checked(2)?;
    let good = country.bytes().all(|byte| byte.is_ascii_uppercase())
        && check.bytes().all(|byte| byte.is_ascii_digit())
        && (11..=30).contains(&account.len())
        && account.bytes().all(|byte| byte.is_ascii_alphanumeric());
    good.then_some(form)
}

/// ISO/IEC 7812: twelve to nineteen digits.
pub(super) fn card(text: &str) -> Option<String> {
    let form = without(text, &[' ', '-'])?;
    let good = (12..=19).contains(&form.len()) && form.bytes().all(|byte| byte.is_ascii_digit());
    good.then_some(form)
}

/// E.164: `+` and seven to fifteen digits. Without `+` it is a number of some network, equal only to the same digits.
pub(super) fn phone(text: &str) -> Option<String> {
    let form = without(text, &[' ', '-', '.', '(', ')', '/', '\u{A0}'])?;
    let digits = form.strip_prefix('+').unwrap_or(&form);
    let good = (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    good.then_some(form)
}

/// RFC 9562 §4: 8-4-4-4-12, or the digits alone.
pub(super) fn uuid(text: &str) -> Option<String> {
    let digits = without(text, &['-'])?.to_ascii_lowercase();
    let shaped = text.len() == 32
        || text.len() == 36
            && [8, 13, 18, 23]
                .into_iter()
                .all(|at| text.as_bytes().get(at) == Some(&b'-'));
    let good = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    (shaped && good).then_some(digits)
}

/// RFC 3339 `full-date`, a day that there is.
pub(super) fn date(text: &str) -> Option<String> {
    crate::Timestamp::parse(&format!("{text}T00:00:00.000Z")).map(|_instant| text.to_owned())
}

/// The check of ISO 13616 over a canonical form.
pub(super) fn iban_checks(form: &str) -> bool {
    let (head, tail) = form.split_at_checked(4).unwrap_or((form, ""));
    let remainder = tail
        .chars()
        .chain(head.chars())
        .try_fold(0u32, |sum, character| {
            let digit = character.to_digit(36)?;
            let factor = if digit > 9 { 100 } else { 10 };
            sum.checked_mul(factor)?.checked_add(digit)?.checked_rem(97)
        });
    remainder == Some(1)
}

/// Luhn's check over digits.
pub(super) fn luhn_checks(digits: &str) -> bool {
    let sum = digits
        .bytes()
        .rev()
        .enumerate()
        .try_fold(0u32, |sum, (place, byte)| {
            let digit = char::from(byte).to_digit(10)?;
            let double = digit.saturating_mul(2);
            let counted = match (place % 2, double) {
                (0, _) => digit,
                (_, 10..) => double.saturating_sub(9),
                _ => double,
            };
            Some(sum.saturating_add(counted))
        });
    sum.is_some_and(|sum| sum.checked_rem(10) == Some(0))
}
