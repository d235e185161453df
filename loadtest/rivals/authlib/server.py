"""Authlib under gunicorn with what jeton is measured with: client credentials, secrets by Basic, signed JWTs.

Set up in its favour where there is a choice: clients in memory and not in a database, secrets compared and not hashed
slowly, nothing saved per token, no log, Ed25519 by the cryptography package. One worker process, since it has one core.

    gunicorn server:app      COUNT and JETON_SECRET in the environment; GET /.well-known/jwks.json for the key
"""

import os
import secrets
import time

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from flask import Flask, jsonify
from joserfc import jwt
from joserfc.jwk import OKPKey

RESOURCE, SCOPE, LIFETIME = "https://api.example.com", "read write", 3600
ISSUER = "https://issuer.example.com"
KEY = OKPKey.generate_key("Ed25519", {"kid": "key", "alg": "EdDSA", "use": "sig"})
HEADER = {"alg": "EdDSA", "typ": "at+jwt", "kid": "key"}


class Client(ClientMixin):
    """A client that may do the one thing."""

    def __init__(self, client_id, secret):
        self.client_id, self.secret = client_id, secret

    def get_client_id(self):
        return self.client_id

    def get_allowed_scope(self, scope):
        return scope

    def check_client_secret(self, client_secret):
        return secrets.compare_digest(self.secret, client_secret)

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "client_secret_basic"

    def check_grant_type(self, grant_type):
        return grant_type == "client_credentials"


def sign(grant_type, client, user=None, scope=None, expires_in=None, include_refresh_token=False):
    """A token response."""
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": client.client_id, "client_id": client.client_id, "aud": RESOURCE, "scope": SCOPE}
    claims |= {"iat": now, "exp": now + LIFETIME, "jti": secrets.token_urlsafe(16)}
    token = jwt.encode(HEADER, claims, KEY, algorithms=["EdDSA"])
    return {"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME, "scope": SCOPE}


SECRET = os.environ["JETON_SECRET"]
CLIENTS = {f"c-{number:010}": Client(f"c-{number:010}", SECRET) for number in range(int(os.environ["COUNT"]))}
app = Flask(__name__)
server = AuthorizationServer(app, query_client=CLIENTS.get, save_token=lambda token, request: None)
server.register_grant(ClientCredentialsGrant)
server.register_token_generator("default", sign)


@app.post("/oauth2/token")
def token():
    return server.create_token_response()


@app.get("/.well-known/jwks.json")
def jwks():
    return jsonify(keys=[KEY.as_dict(private=False)])
