"""Authlib: METHOD is basic, post or jwt: then CLIENT_SECRET is a private key, a JWK.

The library would name the token endpoint as the audience of what it signs; it is told the issuer instead.
"""

import json
from os import environ

from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import OKPKey

signs = environ["METHOD"] == "jwt"
session = OAuth2Session(
    environ["CLIENT_ID"],
    OKPKey.import_key(json.loads(environ["CLIENT_SECRET"])) if signs else environ["CLIENT_SECRET"],
    token_endpoint_auth_method="private_key_jwt" if signs else "client_secret_" + environ["METHOD"],
    scope=environ["SCOPE"] or None,
)
session.register_client_auth_method(PrivateKeyJWT(environ["ISSUER"], alg="EdDSA"))
extra = {"resource": environ["RESOURCE"]} if environ["RESOURCE"] else {}
try:
    answer = session.fetch_token(environ["TOKEN_URL"], grant_type="client_credentials", **extra)
except OAuthError as error:
    answer = {"error": error.error}
print(json.dumps(answer))
