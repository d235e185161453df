"""PyJWT: a resource server that knows the address of the keys, the issuer and its own name."""

import jwt
from verifier import ALGORITHM, JWKS_URL, run

REASONS = {
    jwt.PyJWKClientError: "key",
    jwt.InvalidSignatureError: "signature",
    jwt.InvalidAudienceError: "audience",
    jwt.InvalidIssuerError: "issuer",
    jwt.ExpiredSignatureError: "expired",
}
keys = jwt.PyJWKClient(JWKS_URL)


def verify(token, issuer, audience):
    required = ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"]
    key = keys.get_signing_key_from_jwt(token)
    decoded = jwt.decode_complete(
        token, key, algorithms=[ALGORITHM], issuer=issuer, audience=audience, options={"require": required}
    )
    assert decoded["header"]["typ"] == "at+jwt"
    return decoded["payload"]


run(verify, REASONS, lambda error: type(error))
