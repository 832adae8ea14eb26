//! What an agent sends: frames of gRPC, bounded, and the bundles in their messages.

use bytes::{Buf as _, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{HeaderMap, Response, StatusCode};
use writ_types::TrustDomain;

use super::EndpointFault;
use crate::workload_api::message::Fields;
use crate::workload_api::wire::{self, GRPC_STATUS};

/// Largest message, in bytes: what every client of gRPC takes unless it is told otherwise.
const MOST: usize = 4 * 1024 * 1024;
/// Most bundles of one message.
const MOST_BUNDLES: usize = 1024;
/// Largest bundle, in bytes: as large as one that is fetched.
const LARGEST_BUNDLE: usize = 256 * 1024;
/// Bytes before a message: a flag (compressed or not) and the length.
const HEAD: usize = 5;

/// The messages of one stream.
#[derive(Debug)]
pub(super) struct Messages {
    body: Incoming,
    buffer: BytesMut,
}

impl Messages {
    /// The stream that a response is.
    pub(super) fn of(response: Response<Incoming>) -> Result<Self, EndpointFault> {
        let (head, body) = response.into_parts();
        if head.status != StatusCode::OK || !wire::says_grpc(&head.headers) {
            return Err(EndpointFault::NotGrpc);
        }
        match refusal(&head.headers) {
            Some(refused) => Err(refused),
            None => Ok(Self {
                body,
                buffer: BytesMut::new(),
            }),
        }
    }

    /// The next message. A stream has no end: one that ends has failed. What waits can be given up at any time.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, EndpointFault> {
        loop {
            if let Some(message) = self.buffered()? {
                return Ok(message);
            }
            let frame = self.body.frame().await.ok_or(EndpointFault::Ended)??;
            match frame.into_data() {
                Ok(data) => self.buffer.extend_from_slice(&data),
                Err(other) => {
                    let trailers = other.trailers_ref();
                    return Err(trailers.and_then(refusal).unwrap_or(EndpointFault::Ended));
                }
            }
        }
    }

    /// The message that has arrived whole. Its length is looked at as soon as it is there, so that no more than the largest
    /// one and a window are ever kept.
    fn buffered(&mut self) -> Result<Option<Vec<u8>>, EndpointFault> {
        let Some(([flag, length @ ..], rest)) = self.buffer.split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length));
        let length = length.ok().filter(|length| *flag == 0 && *length <= MOST);
        let length = length.ok_or(EndpointFault::Malformed)?;
        let Some(message) = rest.get(..length) else {
            return Ok(None);
        };
        let message = message.to_vec();
        self.buffer.advance(HEAD.saturating_add(length));
        Ok(Some(message))
    }
}

/// What a status says; none if there is none, or a good one.
fn refusal(fields: &HeaderMap) -> Option<EndpointFault> {
    let status = fields.get(GRPC_STATUS)?;
    Some(match status.as_bytes() {
        b"0" => EndpointFault::Ended,
        b"1" => EndpointFault::Refused("Cancelled"),
        b"3" => EndpointFault::Refused("InvalidArgument"),
        b"4" => EndpointFault::Refused("DeadlineExceeded"),
        b"5" => EndpointFault::Refused("NotFound"),
        b"7" => EndpointFault::Denied,
        b"8" => EndpointFault::Refused("ResourceExhausted"),
        b"12" => EndpointFault::Refused("Unimplemented"),
        b"13" => EndpointFault::Refused("Internal"),
        b"14" => EndpointFault::Refused("Unavailable"),
        b"16" => EndpointFault::Refused("Unauthenticated"),
        _ => EndpointFault::Refused("Unknown"),
    })
}

/// What `X509BundlesResponse` says of a trust domain: field 1 holds revocation lists, field 2 bundles.
pub(super) fn x509_bundle<'a>(
    message: &'a [u8],
    domain: &TrustDomain,
) -> Result<Option<&'a [u8]>, EndpointFault> {
    for field in Fields::of(message) {
        let (number, list) = field.map_err(|_malformed| EndpointFault::Malformed)?;
        if number == 1 && !list.is_empty() {
            return Err(EndpointFault::RevocationLists);
        }
    }
    bundle(message, 2, domain)
}

/// What `JWTBundlesResponse` says of a trust domain: field 1 holds bundles.
pub(super) fn jwt_bundle<'a>(
    message: &'a [u8],
    domain: &TrustDomain,
) -> Result<Option<&'a [u8]>, EndpointFault> {
    bundle(message, 1, domain)
}

/// The bundle under the SPIFFE id of the trust domain, in a map from texts to bytes. Of an entry's fields the last one stands,
/// as protobuf has it; a domain that stands twice is refused, because nobody could say which is meant.
fn bundle<'a>(
    message: &'a [u8],
    map: u64,
    domain: &TrustDomain,
) -> Result<Option<&'a [u8]>, EndpointFault> {
    let wanted = format!("spiffe://{domain}");
    let (mut entries, mut found) = (0_usize, None);
    for field in Fields::of(message) {
        let (number, entry) = field.map_err(|_malformed| EndpointFault::Malformed)?;
        if number != map {
            continue;
        }
        entries = entries.saturating_add(1);
        let (mut key, mut value) = (&[][..], &[][..]);
        for field in Fields::of(entry) {
            match field.map_err(|_malformed| EndpointFault::Malformed)? {
                (1, bytes) => key = bytes,
                (2, bytes) => value = bytes,
                _ => {}
            }
        }
        if entries > MOST_BUNDLES || value.len() > LARGEST_BUNDLE {
            return Err(EndpointFault::TooMany);
        }
        if key == wanted.as_bytes() && found.replace(value).is_some() {
            return Err(EndpointFault::Twice);
        }
    }
    if entries == 0 {
        return Err(EndpointFault::Empty);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::workload_api::message::Writer;

    fn domain() -> TrustDomain {
        "prod.example".parse().unwrap()
    }

    fn map(field: u32, entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut message = Writer::default();
        for (key, value) in entries {
            message.entry(field, key, value);
        }
        message.done()
    }

    #[test]
    fn of_a_message_only_the_bundle_of_the_trust_domain_counts() {
        let ours = "spiffe://prod.example";
        let many: Vec<String> = (0..1025).map(|at| format!("spiffe://d{at}")).collect();
        let many: Vec<(&str, &[u8])> = many.iter().map(|key| (key.as_str(), &b"x"[..])).collect();
        let large = vec![0; LARGEST_BUNDLE + 1];
        let with_list = |list: &[u8]| {
            let mut message = Writer::default();
            message.bytes(1, list);
            message.entry(2, ours, b"a");
            message.done()
        };
        for (row, message, wanted) in [
            ("it alone", map(2, &[(ours, b"a")]), "Ok(Some([97]))"),
            (
                "beside others",
                map(2, &[("spiffe://x", b"b"), (ours, b"a")]),
                "Ok(Some([97]))",
            ),
            (
                "without authorities",
                map(2, &[(ours, b"")]),
                "Ok(Some([]))",
            ),
            ("another's", map(2, &[("spiffe://x", b"b")]), "Ok(None)"),
            (
                "a name like it",
                map(
                    2,
                    &[("spiffe://prod.example/", b"b"), ("prod.example", b"b")],
                ),
                "Ok(None)",
            ),
            (
                "a name below",
                map(2, &[("spiffe://a.prod.example", b"b")]),
                "Ok(None)",
            ),
            ("twice", map(2, &[(ours, b"a"), (ours, b"b")]), "Err(Twice)"),
            ("nothing", Vec::new(), "Err(Empty)"),
            ("another field", map(3, &[(ours, b"a")]), "Err(Empty)"),
            ("as many as may be", map(2, &many[..1024]), "Ok(None)"),
            ("one more", map(2, &many), "Err(TooMany)"),
            (
                "too large",
                map(2, &[("spiffe://x", &large)]),
                "Err(TooMany)",
            ),
            ("a revocation list", with_list(b"x"), "Err(RevocationLists)"),
            ("an empty one", with_list(b""), "Ok(Some([97]))"),
            (
                "cut short",
                map(2, &[(ours, b"a")])[..5].to_vec(),
                "Err(Malformed)",
            ),
        ] {
            assert_eq!(
                format!("{:?}", x509_bundle(&message, &domain())),
                wanted,
                "{row}"
            );
        }
        let jwt = map(1, &[(ours, b"{}")]);
        assert_eq!(jwt_bundle(&jwt, &domain()).unwrap(), Some(&b"{}"[..]));
    }

    proptest! {
        #[test]
        fn no_message_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(x509_bundle(&bytes, &domain()));
            drop(jwt_bundle(&bytes, &domain()));
        }
    }
}
