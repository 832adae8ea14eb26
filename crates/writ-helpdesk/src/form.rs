//! Reading what was sent: a JSON body member by member, and the query.

use std::collections::BTreeMap;

use writ_types::{JsonLimits, Value};

use crate::answer::Fault;
use crate::model::Amount;

/// The members of a JSON object that have not been read yet, and the faults found so far.
#[derive(Debug)]
pub(crate) struct Form {
    members: BTreeMap<String, Value>,
    faults: Vec<(String, &'static str)>,
}

impl Form {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        match Value::parse(bytes, &JsonLimits::REQUEST) {
            Ok(Value::Object(members)) => Ok(Self {
                members,
                faults: Vec::new(),
            }),
            Ok(_other) => Err(Fault::Malformed("the body is not a JSON object")),
            Err(_fault) => Err(Fault::Malformed("the body is not JSON")),
        }
    }

    /// Reads a string that must be there.
    pub(crate) fn required<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        if !self.members.contains_key(name) {
            self.fault(name, "is missing");
        }
        self.optional(name, read)
    }

    /// Reads a string that may be absent.
    pub(crate) fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        let value = self.members.remove(name)?;
        let read = value.as_str().ok_or("must be a string").and_then(read);
        read.map_err(|fault| self.fault(name, fault)).ok()
    }

    /// Ends the reading: `whole` if there was no fault. A member nobody asked for is one.
    pub(crate) fn finish<T>(mut self, whole: Option<T>) -> Result<T, Fault> {
        for name in std::mem::take(&mut self.members).into_keys() {
            self.fault(&name, "is not known here");
        }
        match whole {
            Some(whole) if self.faults.is_empty() => Ok(whole),
            Some(_) | None => Err(Fault::Invalid(self.faults)),
        }
    }

    /// How many members have not been read yet.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    fn fault(&mut self, name: &str, text: &'static str) {
        let name: String = name.chars().take(64).collect();
        let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        self.faults.push((pointer, text));
    }
}

/// The parameters of a query. Each may come once; no value of this API needs percent-encoding, so none is decoded.
pub(crate) struct Query<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Query<'a> {
    pub(crate) fn parse(query: &'a str, known: &[&str]) -> Result<Self, Fault> {
        let mut parameters = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !known.contains(&name) {
                return Err(Fault::Malformed(
                    "a query parameter is not known to this operation",
                ));
            }
            if parameters.insert(name, value).is_some() {
                return Err(Fault::Malformed("a query parameter was given twice"));
            }
        }
        Ok(Self(parameters))
    }

    pub(crate) fn take<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, &'static str>,
    ) -> Result<Option<T>, Fault> {
        self.0
            .remove(name)
            .map(read)
            .transpose()
            .map_err(Fault::Malformed)
    }
}

pub(crate) fn ticket_id(text: &str) -> Result<String, &'static str> {
    id(text, "T-", 4).ok_or("must be a ticket id, `T-` and four to nine digits")
}

pub(crate) fn customer_id(text: &str) -> Result<String, &'static str> {
    id(text, "C-", 3).ok_or("must be a customer id, `C-` and three to nine digits")
}

fn id(text: &str, prefix: &str, fewest: usize) -> Option<String> {
    let digits = text.strip_prefix(prefix)?;
    let good =
        (fewest..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    good.then(|| text.to_owned())
}

/// The most items of one page.
pub(crate) fn page_limit(text: &str) -> Result<usize, &'static str> {
    text.parse()
        .ok()
        .filter(|limit| (1..=100).contains(limit))
        .ok_or("`limit` must be a number from 1 to 100")
}

/// A text of one to `longest` characters.
pub(crate) fn text(text: &str, longest: usize) -> Result<String, &'static str> {
    match text.chars().count() {
        0 => Err("must not be empty"),
        length if length > longest => Err("is too long"),
        _ => Ok(text.to_owned()),
    }
}

pub(crate) fn login(text: &str) -> Result<String, &'static str> {
    let first = text.starts_with(|first: char| first.is_ascii_lowercase());
    let plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-')
    };
    if first && (2..=32).contains(&text.len()) && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("must be a login: 2 to 32 of a-z, 0-9, `.` and `-`, a letter first")
    }
}

pub(crate) fn amount(text: &str) -> Result<Amount, &'static str> {
    let amount: Amount = text
        .parse()
        .map_err(|_error| "must be euros and cents with two places, like `49.90`")?;
    if amount.cents() == 0 {
        Err("must be more than nothing")
    } else {
        Ok(amount)
    }
}

pub(crate) fn email(text: &str) -> Result<String, &'static str> {
    let local_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-');
    let domain_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    match text.split_once('@') {
        Some((local, domain))
            if text.len() <= 254
                && !local.is_empty()
                && !domain.is_empty()
                && local.bytes().all(local_byte)
                && domain.bytes().all(domain_byte) =>
        {
            Ok(text.to_owned())
        }
        Some(_) | None => Err("must be an e-mail address"),
    }
}

/// An account number with its check digits (ISO 13616, ISO 7064 MOD 97-10).
pub(crate) fn iban(text: &str) -> Result<String, &'static str> {
    const FAULT: &str = "must be an IBAN without spaces";
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    if !(15..=34).contains(&text.len()) || !text.bytes().all(plain) {
        return Err(FAULT);
    }
    let (head, account) = text.split_at(4);
    let (country, check) = head.split_at(2);
    if !country.bytes().all(|byte| byte.is_ascii_uppercase())
        || !check.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(FAULT);
    }
    let remainder = account.chars().chain(head.chars()).fold(0u32, |sum, sign| {
        let value = sign.to_digit(36).unwrap_or(0);
        let shift = if value < 10 { 10 } else { 100 };
        sum.saturating_mul(shift).saturating_add(value) % 97
    });
    if remainder == 1 {
        Ok(text.to_owned())
    } else {
        Err("is no IBAN: its check digits are wrong")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_iban_needs_its_check_digits() {
        for good in [
            "GB33BUKB20201555555555",
            "DE75512108001245126199",
            "NO9386011117947",
        ] {
            assert_eq!(iban(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "GB34BUKB20201555555555",
            "GB33BUKB20201555555556",
            "gb33bukb20201555555555",
            "GB33 BUKB 2020 1555 5555 55",
            "1233BUKB20201555555555",
            "GBX3BUKB20201555555555",
            "GB33ÄUKB20201555555555",
        ] {
            assert!(iban(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_form_names_every_fault_at_once() {
        let mut form = Form::parse(br#"{"amount":5,"other/~":1}"#).unwrap();
        let amount = form.required("amount", amount);
        let iban = form.required("iban", iban);
        let Err(Fault::Invalid(faults)) = form.finish(amount.zip(iban)) else {
            panic!("three members are wrong");
        };
        assert_eq!(
            faults,
            [
                ("/amount".to_owned(), "must be a string"),
                ("/iban".to_owned(), "is missing"),
                ("/other~1~0".to_owned(), "is not known here"),
            ]
        );
    }
}
