//! The messages of the Workload API in protobuf's encoding: fields of varints, bytes and messages, in the order of their
//! numbers. Unknown fields are passed over, as protobuf has it; what is malformed is refused.

use writ_types::Value;

use super::wire::{Code, Status};

/// Most audiences of one JWT-SVID.
const MOST_AUDIENCES: usize = 16;
/// Longest audience, in bytes; the longest SPIFFE id.
const LONGEST_AUDIENCE: usize = 2048;

/// A message being written.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// The message.
    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut number: u64) {
        while number > 0x7F {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }

    fn tag(&mut self, field: u32, wire_type: u64) {
        self.varint(u64::from(field) << 3 | wire_type);
    }

    /// A field of bytes, a text or a message.
    pub(crate) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, 2);
        self.varint(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.0.extend_from_slice(bytes);
    }

    /// An entry of a map from texts to bytes.
    pub(crate) fn entry(&mut self, field: u32, key: &str, value: &[u8]) {
        let mut entry = Self::default();
        entry.bytes(1, key.as_bytes());
        entry.bytes(2, value);
        self.bytes(field, &entry.done());
    }

    fn number(&mut self, field: u32, number: u64) {
        self.tag(field, 0);
        self.varint(number);
    }

    fn double(&mut self, field: u32, number: f64) {
        self.tag(field, 1);
        self.0.extend_from_slice(&number.to_le_bytes());
    }
}

/// A message is not one of protobuf's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message is malformed")]
pub(crate) struct Malformed;

/// Reads the fields of bytes, texts and messages of a message, with their numbers.
///
/// # Errors
///
/// [`Malformed`].
pub(crate) fn fields(message: &[u8]) -> Result<Vec<(u64, &[u8])>, Malformed> {
    Fields::of(message).collect()
}

/// The fields of bytes, texts and messages of a message, one by one, with their numbers; the first fault is the last item.
#[derive(Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) const fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn field(&mut self) -> Result<Option<(u64, &'a [u8])>, Malformed> {
        let tag = varint(&mut self.0)?;
        let mut found = None;
        match tag & 7 {
            0 => drop(varint(&mut self.0)?),
            1 => drop(take(&mut self.0, 8)?),
            2 => {
                let length = usize::try_from(varint(&mut self.0)?).map_err(|_huge| Malformed)?;
                found = Some((tag >> 3, take(&mut self.0, length)?));
            }
            5 => drop(take(&mut self.0, 4)?),
            _ => return Err(Malformed),
        }
        if tag >> 3 == 0 {
            return Err(Malformed);
        }
        Ok(found)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.is_empty() {
            match self.field() {
                Ok(Some(field)) => return Some(Ok(field)),
                Ok(None) => {}
                Err(fault) => {
                    self.0 = &[];
                    return Some(Err(fault));
                }
            }
        }
        None
    }
}

fn take<'a>(message: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    let (taken, rest) = message.split_at_checked(length).ok_or(Malformed)?;
    *message = rest;
    Ok(taken)
}

fn varint(message: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0_u64;
    for shift in (0_u32..64).step_by(7) {
        let [byte] = take(message, 1)? else {
            return Err(Malformed);
        };
        let bits = u64::from(byte & 0x7F);
        if shift == 63 && bits > 1 {
            return Err(Malformed);
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Malformed)
}

const MALFORMED: Status = Status(Code::InvalidArgument, "the message is malformed");

/// A field of text; the last one stands where there are several, as protobuf has it.
fn text<'a>(fields: &[(u64, &'a [u8])], number: u64) -> Result<&'a str, Status> {
    let mut found = fields.iter().rev();
    let found = found.find(|(field, _)| *field == number);
    std::str::from_utf8(found.map_or(&[][..], |(_, bytes)| bytes)).map_err(|_not_text| MALFORMED)
}

/// `JWTSVIDRequest`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JwtSvidRequest<'a> {
    pub(super) audiences: Vec<&'a str>,
    /// Empty: every identity of the process.
    pub(super) spiffe_id: &'a str,
}

impl<'a> JwtSvidRequest<'a> {
    pub(super) fn decode(message: &'a [u8]) -> Result<Self, Status> {
        let fields = fields(message).map_err(|_malformed| MALFORMED)?;
        let spiffe_id = text(&fields, 2)?;
        let audiences = fields.iter().filter(|(field, _)| *field == 1);
        let audiences: Result<Vec<_>, _> = audiences
            .map(|(_, bytes)| std::str::from_utf8(bytes))
            .collect();
        let audiences = audiences.map_err(|_not_text| MALFORMED)?;
        let sound = |audience: &&str| !audience.is_empty() && audience.len() <= LONGEST_AUDIENCE;
        if audiences.is_empty() || audiences.len() > MOST_AUDIENCES || !audiences.iter().all(sound)
        {
            return Err(Status(
                Code::InvalidArgument,
                "a JWT-SVID is for at least one audience, at most 16, and none is empty",
            ));
        }
        Ok(Self {
            audiences,
            spiffe_id,
        })
    }
}

/// `ValidateJWTSVIDRequest`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ValidateRequest<'a> {
    pub(super) audience: &'a str,
    pub(super) svid: &'a str,
}

impl<'a> ValidateRequest<'a> {
    pub(super) fn decode(message: &'a [u8]) -> Result<Self, Status> {
        let fields = fields(message).map_err(|_malformed| MALFORMED)?;
        let (audience, svid) = (text(&fields, 1)?, text(&fields, 2)?);
        if audience.is_empty() || svid.is_empty() {
            let why = "`audience` and `svid` are needed";
            return Err(Status(Code::InvalidArgument, why));
        }
        Ok(Self { audience, svid })
    }
}

/// `X509SVID`.
#[derive(Debug)]
pub(super) struct Svid {
    pub(super) spiffe_id: String,
    /// The certificates in DER, one behind the other, leaf first.
    pub(super) chain: Vec<u8>,
    /// The private key in PKCS#8.
    pub(super) key: writ_types::Secret<Vec<u8>>,
    /// The authorities of its trust domain in DER, one behind the other.
    pub(super) bundle: Vec<u8>,
}

/// Bundles by the SPIFFE id of their trust domain.
pub(super) type Bundles = std::collections::BTreeMap<String, Vec<u8>>;

/// `X509SVIDResponse`.
pub(super) fn x509_svid_response(svids: &[Svid], federated: &Bundles) -> Vec<u8> {
    let mut response = Writer::default();
    for svid in svids {
        let mut one = Writer::default();
        one.bytes(1, svid.spiffe_id.as_bytes());
        one.bytes(2, &svid.chain);
        one.bytes(3, svid.key.expose());
        one.bytes(4, &svid.bundle);
        response.bytes(1, &one.done());
    }
    for (domain, bundle) in federated {
        response.entry(3, domain, bundle);
    }
    response.done()
}

/// `X509BundlesResponse`.
pub(super) fn x509_bundles_response(bundles: &Bundles) -> Vec<u8> {
    let mut response = Writer::default();
    for (domain, bundle) in bundles {
        response.entry(2, domain, bundle);
    }
    response.done()
}

/// `JWTBundlesResponse`.
pub(super) fn jwt_bundles_response(bundles: &Bundles) -> Vec<u8> {
    let mut response = Writer::default();
    for (domain, bundle) in bundles {
        response.entry(1, domain, bundle);
    }
    response.done()
}

/// `JWTSVIDResponse`.
pub(super) fn jwt_svid_response(svids: &[(String, String)]) -> Vec<u8> {
    let mut response = Writer::default();
    for (spiffe_id, svid) in svids {
        let mut one = Writer::default();
        one.bytes(1, spiffe_id.as_bytes());
        one.bytes(2, svid.as_bytes());
        response.bytes(1, &one.done());
    }
    response.done()
}

/// `ValidateJWTSVIDResponse`: the claims as a `google.protobuf.Struct`.
pub(super) fn validate_response(spiffe_id: &str, claims: &Value) -> Vec<u8> {
    let mut response = Writer::default();
    response.bytes(1, spiffe_id.as_bytes());
    response.bytes(2, &structure(claims));
    response.done()
}

/// `Struct`: field 1 is a map from names to values.
fn structure(value: &Value) -> Vec<u8> {
    let mut written = Writer::default();
    for (name, member) in value.as_object().into_iter().flatten() {
        written.entry(1, name, &one_value(member));
    }
    written.done()
}

/// `Value`: one of null, number, text, truth, structure and list. Its depth is that of strict JSON, which is bounded.
fn one_value(value: &Value) -> Vec<u8> {
    let mut written = Writer::default();
    match value {
        Value::Null => written.number(1, 0),
        Value::Number(number) => written.double(2, number.as_str().parse().unwrap_or(f64::NAN)),
        Value::String(text) => written.bytes(3, text.as_bytes()),
        Value::Bool(truth) => written.number(4, u64::from(*truth)),
        Value::Object(_) => written.bytes(5, &structure(value)),
        Value::Array(items) => {
            let mut list = Writer::default();
            for item in items {
                list.bytes(1, &one_value(item));
            }
            written.bytes(6, &list.done());
        }
    }
    written.done()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes, and the fields they say; the examples of protobuf's own encoding guide among them.
    #[test]
    fn fields_are_read_exactly() {
        for (bytes, wanted) in [
            (&[][..], Some(vec![])),
            (&[0x08, 0x96, 0x01], Some(vec![])),
            (b"\x12\x07testing", Some(vec![(2, &b"testing"[..])])),
            (
                b"\x12\x01a\x08\x01\x12\x01b",
                Some(vec![(2, &b"a"[..]), (2, b"b")]),
            ),
            (b"\x12\x08testing", None),
            (&[0x08], None),
            (&[0x00, 0x01], None),
            (&[0x0B], None),
            (&[0x09, 1, 2, 3, 4, 5, 6, 7], None),
            (&[0x0D, 1, 2, 3, 4], Some(vec![])),
            (
                &[
                    0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01,
                ],
                Some(vec![]),
            ),
            (
                &[
                    0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02,
                ],
                None,
            ),
            (
                &[
                    0x12, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01,
                ],
                None,
            ),
        ] {
            assert_eq!(fields(bytes).ok(), wanted, "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(written in proptest::collection::vec((1_u32..4000, ".{0,300}"), 0..8)) {
            let mut writer = Writer::default();
            for (field, text) in &written {
                writer.bytes(*field, text.as_bytes());
            }
            let message = writer.done();
            let read = fields(&message).unwrap();
            let wanted: Vec<_> = written.iter().map(|(field, text)| (u64::from(*field), text.as_bytes())).collect();
            prop_assert_eq!(read, wanted);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(fields(&bytes));
            drop(JwtSvidRequest::decode(&bytes));
            drop(ValidateRequest::decode(&bytes));
        }
    }

    #[test]
    fn what_a_jwt_svid_is_asked_for() {
        let message = |audiences: &[&str], spiffe_id: &str| {
            let mut writer = Writer::default();
            for audience in audiences {
                writer.bytes(1, audience.as_bytes());
            }
            writer.bytes(2, spiffe_id.as_bytes());
            writer.done()
        };
        let asked = message(&["a", "b"], "spiffe://d/x");
        let asked = JwtSvidRequest::decode(&asked).unwrap();
        assert_eq!(
            (asked.audiences.as_slice(), asked.spiffe_id),
            (&["a", "b"][..], "spiffe://d/x")
        );
        let long = "a".repeat(LONGEST_AUDIENCE + 1);
        for (row, audiences) in [
            ("none", &[][..]),
            ("an empty one", &["a", ""]),
            ("seventeen", &["a"; 17]),
            ("a long one", &[&long]),
        ] {
            let refused = JwtSvidRequest::decode(&message(audiences, "")).unwrap_err();
            assert_eq!(refused.0, Code::InvalidArgument, "{row}");
        }
        let mut writer = Writer::default();
        writer.bytes(1, &[0xFF]);
        assert_eq!(JwtSvidRequest::decode(&writer.done()), Err(MALFORMED));
    }
}
