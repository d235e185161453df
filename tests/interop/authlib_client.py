"""Authlib: METHOD is basic or post."""

import json
from os import environ

from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session

session = OAuth2Session(
    environ["CLIENT_ID"],
    environ["CLIENT_SECRET"],
    token_endpoint_auth_method="client_secret_" + environ["METHOD"],
    scope=environ["SCOPE"] or None,
)
extra = {"resource": environ["RESOURCE"]} if environ["RESOURCE"] else {}
try:
    answer = session.fetch_token(environ["TOKEN_URL"], grant_type="client_credentials", **extra)
except OAuthError as error:
    answer = {"error": error.error}
print(json.dumps(answer))
