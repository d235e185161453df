"""requests-oauthlib: METHOD basic is what the library does by itself, post what it does with include_client_id."""

import json
import os

from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error
from requests_oauthlib import OAuth2Session

# The library refuses plain HTTP otherwise, also on loopback.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"

environ = os.environ
scope = environ["SCOPE"].split() or None
session = OAuth2Session(client=BackendApplicationClient(client_id=environ["CLIENT_ID"], scope=scope), scope=scope)
credentials = {"client_secret": environ["CLIENT_SECRET"]}
if environ["METHOD"] == "basic":
    credentials["client_id"] = environ["CLIENT_ID"]
else:
    credentials["include_client_id"] = True
extra = {"resource": environ["RESOURCE"]} if environ["RESOURCE"] else {}
try:
    answer = session.fetch_token(environ["TOKEN_URL"], **credentials, **extra)
    answer["scope"] = " ".join(answer["scope"])
except OAuth2Error as error:
    answer = {"error": error.error}
print(json.dumps(answer))
