"""A client and a resource server of another hand (Authlib on joserfc): metadata, private_key_jwt, token exchange with a DPoP
proof, validation of the access token by RFC 9068, introspection, revocation. Says on the way what it did."""

import os
import secrets
import time
from base64 import b64decode, urlsafe_b64encode
from hashlib import sha256

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from cryptography.hazmat.primitives import serialization
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

ISSUER, RESOURCE, CALL = os.environ["WRIT_ISSUER"], os.environ["WRIT_RESOURCE"], os.environ["WRIT_CALL"]

metadata = AuthorizationServerMetadata(requests.get(get_well_known_url(ISSUER, external=True)).json())
assert metadata["issuer"] == ISSUER
# Authlib asks for `https` everywhere but on loopback, and this is loopback.
for name in ["validate_token_endpoint_auth_methods_supported", "validate_grant_types_supported",
             "validate_introspection_endpoint_auth_methods_supported", "validate_revocation_endpoint_auth_methods_supported"]:
    getattr(metadata, name)()
print("RFC 8414 metadata")

der = b64decode(os.environ["WRIT_KEY"])
pem = serialization.load_der_private_key(der, None).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
client = OAuth2Session(
    os.environ["WRIT_CLIENT"], ECKey.import_key(pem),
    token_endpoint_auth_method="private_key_jwt", revocation_endpoint_auth_method="private_key_jwt")
# RFC 7523bis: the audience is the issuer, and nothing else.
client.register_client_auth_method(
    PrivateKeyJWT(ISSUER, headers={"kid": os.environ["WRIT_KID"]}, alg="ES256"))

mine = ECKey.generate_key("P-256", private=True)


def proof(method, url, token=None, nonce=None):
    """A DPoP proof (RFC 9449 section 4.2)."""
    claims = {"jti": secrets.token_urlsafe(16), "htm": method, "htu": url, "iat": int(time.time())}
    if token is not None:
        digest = sha256(token.encode()).digest()
        claims["ath"] = urlsafe_b64encode(digest).rstrip(b"=").decode()
    if nonce is not None:
        claims["nonce"] = nonce
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": mine.as_dict(private=False)}
    return jwt.encode(header, claims, mine)


asked = requests.post(metadata["token_endpoint"], data={"grant_type": "nothing"})
nonce = asked.headers["DPoP-Nonce"]
token = client.fetch_token(
    metadata["token_endpoint"],
    grant_type="urn:ietf:params:oauth:grant-type:token-exchange",
    subject_token=os.environ["WRIT_SVID"],
    subject_token_type="urn:ietf:params:oauth:token-type:jwt",
    resource=RESOURCE,
    authorization_details=os.environ["WRIT_DETAILS"],
    headers={"DPoP": proof("POST", metadata["token_endpoint"], nonce=nonce), "Accept": "application/json",
             "Content-Type": "application/x-www-form-urlencoded"})
access = token["access_token"]
assert token["token_type"] == "DPoP", token
print("exchange with RFC 7523 authentication and RFC 9449 proof")


class Validator(JWTBearerTokenValidator):
    """A resource server's check of an access token."""

    def get_jwks(self):
        return KeySet.import_key_set(requests.get(metadata["jwks_uri"]).json())


validator = Validator(ISSUER, RESOURCE)
claims = validator.authenticate_token(access)
validator.validate_token(claims, None, None)
assert claims.header["typ"] == "at+jwt"
assert claims["cnf"]["jkt"] == mine.thumbprint(), claims
other = Validator(ISSUER, RESOURCE + "-other")
try:
    other.validate_token(other.authenticate_token(access), None, None)
except Exception as fault:
    assert "invalid_token" in str(fault), fault
else:
    raise AssertionError("a token for another resource is valid")
print("RFC 9068 validation")

refused = requests.get(CALL, headers={"Authorization": f"DPoP {access}", "DPoP": proof("GET", CALL, access)})
assert refused.status_code == 401 and "use_dpop_nonce" in refused.headers["WWW-Authenticate"], refused.headers
good = proof("GET", CALL, access, refused.headers["DPoP-Nonce"])
called = requests.get(CALL, headers={"Authorization": f"DPoP {access}", "DPoP": good})
assert called.status_code == 200, called.text
replayed = requests.get(CALL, headers={"Authorization": f"DPoP {access}", "DPoP": good})
assert replayed.status_code == 401, replayed.text
bearer = requests.get(CALL, headers={"Authorization": f"Bearer {access}"})
assert bearer.status_code == 401, bearer.text
print("a call")

told = client.introspect_token(metadata["introspection_endpoint"], token=access)
assert told.status_code == 200 and told.json()["active"] is True, told.text
print("RFC 7662 introspection")

unknown = client.revoke_token(metadata["revocation_endpoint"], token="none")
assert unknown.status_code == 200, unknown.text
foreign = client.revoke_token(metadata["revocation_endpoint"], token=access)
assert foreign.status_code == 400 and foreign.json()["error"] == "unauthorized_client", foreign.text
print("RFC 7009 revocation")
