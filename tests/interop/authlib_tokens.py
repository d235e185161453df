"""Authlib: introspects and revokes. Steps in, what the server said of each out, as steps.mjs does it for Node.

A step's method is basic, which stands for default too, or post.
"""

import json
import sys
from os import environ

import requests
from authlib.integrations.requests_client import OAuth2Session

found = requests.get(environ["ISSUER"] + "/.well-known/oauth-authorization-server", timeout=20).json()


def ask(step):
    method = "client_secret_" + {"default": "basic"}.get(step["method"], step["method"])
    session = OAuth2Session(step["id"], step["secret"], token_endpoint_auth_method=method)
    call, endpoint = {
        "introspect": (session.introspect_token, found["introspection_endpoint"]),
        "revoke": (session.revoke_token, found["revocation_endpoint"]),
    }[step["endpoint"]]
    response = call(endpoint, token=step["token"], token_type_hint="access_token")
    said = response.json() if response.content else {}
    # The library hands the response on as it is; a caller goes by its status.
    assert response.ok == ("error" not in said), (response.status_code, said)
    return said


print(json.dumps([ask(step) for step in json.load(sys.stdin)]))
