#!/usr/bin/env bash
# curl: METHOD is basic or post. The secret comes to curl on its standard input, where no process list shows it.
set -euo pipefail

if [ "$METHOD" = basic ]; then
  credentials="user = \"$CLIENT_ID:$CLIENT_SECRET\""
else
  credentials="data-urlencode = \"client_id=$CLIENT_ID\"
data-urlencode = \"client_secret=$CLIENT_SECRET\""
fi
# -q: not the settings of whoever runs this.
curl -q --silent --show-error --config - \
  --data grant_type=client_credentials --data-urlencode "scope=$SCOPE" --data-urlencode "resource=$RESOURCE" \
  "$TOKEN_URL" <<<"$credentials"
