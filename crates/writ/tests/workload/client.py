"""Asks Writ's Workload API through the PyPI package `spiffe`, without knowing that it is Writ's."""

import threading

from spiffe import JwtSource, SpiffeId, TrustDomain, WorkloadApiClient, X509Source

BOT = "spiffe://writ.local/agent/bot"
DOMAIN = TrustDomain("writ.local")


def refused(call, *arguments, **named):
    try:
        call(*arguments, **named)
    except Exception as fault:  # the library's own types differ between its releases
        return str(fault)
    raise AssertionError(f"{call} was not refused")


with WorkloadApiClient() as client:
    svid = client.fetch_x509_svid()
    assert str(svid.spiffe_id) == BOT, svid.spiffe_id
    assert len(svid.cert_chain) == 1
    key, leaf = svid.private_key.public_key(), svid.leaf.public_key()
    assert key.public_numbers() == leaf.public_numbers()

    context = client.fetch_x509_context()
    bundle = context.x509_bundle_set.get_bundle_for_trust_domain(DOMAIN)
    assert bundle is not None and len(bundle.x509_authorities) == 1
    (authority,) = bundle.x509_authorities
    svid.leaf.verify_directly_issued_by(authority)
    bundles = client.fetch_x509_bundles()
    assert bundles.get_bundle_for_trust_domain(DOMAIN).x509_authorities == bundle.x509_authorities

    token = client.fetch_jwt_svid(audience={"one", "two"})
    assert str(token.spiffe_id) == BOT and set(token.audience) == {"one", "two"}
    named = client.fetch_jwt_svid(audience={"one"}, subject=SpiffeId(BOT))
    assert str(named.spiffe_id) == BOT
    assert len(client.fetch_jwt_svids(audience={"one"})) == 1
    valid = client.validate_jwt_svid(token=token.token, audience="two")
    assert str(valid.spiffe_id) == BOT
    refused(client.validate_jwt_svid, token=token.token, audience="three")
    refused(client.validate_jwt_svid, token=token.token[:-8] + "AAAAAAAA", audience="two")
    refused(client.fetch_jwt_svid, audience={"one"}, subject=SpiffeId("spiffe://writ.local/agent/x"))

    jwt_bundle = client.fetch_jwt_bundles().get_bundle_for_trust_domain(DOMAIN)
    assert len(jwt_bundle.jwt_authorities) == 1

# A source keeps its identity fresh: the next one comes before the last one ends.
with X509Source() as source:
    first = source.svid
    renewed = threading.Event()
    source.subscribe_for_updates(renewed.set)
    assert renewed.wait(30), "no renewal came"
    second = source.svid
    assert str(second.spiffe_id) == BOT
    assert first.leaf.serial_number != second.leaf.serial_number

with JwtSource() as source:
    assert str(source.fetch_svid(audience={"one"}).spiffe_id) == BOT
    assert source.get_bundle_for_trust_domain(DOMAIN) is not None

print("done")
