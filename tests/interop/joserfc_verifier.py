"""joserfc: a resource server that knows the address of the keys, the issuer and its own name."""

import requests
from joserfc import jwt
from joserfc.errors import BadSignatureError, ExpiredTokenError, InvalidClaimError, InvalidKeyIdError
from joserfc.jwk import KeySet
from verifier import ALGORITHM, JWKS_URL, run

REASONS = {
    InvalidKeyIdError: "key",
    BadSignatureError: "signature",
    (InvalidClaimError, "aud"): "audience",
    (InvalidClaimError, "iss"): "issuer",
    ExpiredTokenError: "expired",
}
keys = KeySet.import_key_set(requests.get(JWKS_URL, timeout=20).json())


def verify(token, issuer, audience):
    decoded = jwt.decode(token, keys, algorithms=[ALGORITHM])
    assert decoded.header["typ"] == "at+jwt"
    present = {name: {"essential": True} for name in ["sub", "exp", "iat", "jti", "client_id"]}
    expected = {name: {"essential": True, "value": value} for name, value in [("iss", issuer), ("aud", audience)]}
    jwt.JWTClaimsRegistry(**present, **expected).validate(decoded.claims)
    return decoded.claims


run(verify, REASONS, lambda error: (InvalidClaimError, error.claim) if type(error) is InvalidClaimError else type(error))
