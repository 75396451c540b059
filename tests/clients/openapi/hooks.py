"""How schemathesis authenticates: a new session for each case, because some cases end theirs; the project's secret where
your own services are meant. Told by the environment what `check.py` knows."""

import json
import os
import ssl
import urllib.request

import schemathesis

SIGN_IN = os.environ["KEYSTEAD_SIGN_IN"]
ACCOUNT = os.environ["KEYSTEAD_ACCOUNT"]
TOKEN_FIELD = os.environ["KEYSTEAD_TOKEN_FIELD"]
SECRET = os.environ["KEYSTEAD_SECRET"]
TLS = ssl.create_default_context(cafile=os.environ["KEYSTEAD_CA"])


@schemathesis.auth(refresh_interval=None)
class Session:
    def get(self, case, context):
        ways = [way for ways in context.operation.definition.raw.get("security", []) for way in ways]
        if not ways:
            return None
        if "service" in ways:
            return SECRET
        request = urllib.request.Request(SIGN_IN, ACCOUNT.encode(), {"content-type": "application/json"})
        with urllib.request.urlopen(request, context=TLS, timeout=30) as reply:
            token = json.load(reply)
        for field in TOKEN_FIELD.split("."):
            token = token[field]
        return token

    def set(self, case, token, context):
        if token is not None:
            case.headers["Authorization"] = f"Bearer {token}"
