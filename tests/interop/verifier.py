"""What the Python verifiers share: cases in, one verdict each out, as verifier.mjs does it for Node."""

import json
import os
import sys

JWKS_URL = os.environ["JWKS_URL"]
# The one algorithm that it expects: a verifier that takes what the token says is none.
ALGORITHM = os.environ["ALGORITHM"]


def run(verify, reasons, kind):
    """Reads cases {token, issuer, audience}; prints {"claims": …} or {"refused": why} for each.

    An error that is not in `reasons` ends the script: a token refused for a surprising reason is a finding.
    """
    verdicts = []
    for case in json.load(sys.stdin):
        try:
            verdicts.append({"claims": verify(**case)})
        except Exception as error:
            if kind(error) not in reasons:
                raise
            verdicts.append({"refused": reasons[kind(error)]})
    print(json.dumps(verdicts))
