"""Holds a server against the documents it serves: schemathesis makes up requests and checks what comes back.

    KEYSTEAD=path/of/keystead python3 tests/clients/openapi/check.py [EXAMPLES]

Needs the package schemathesis. Every check it has is made, but for those that DIALECT.toml switches off. Each operation
gets EXAMPLES (100) made-up requests beside the systematic ones, the same in each run. Bounded by number and not by time, so that a
fast machine finds what a slow one finds.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "ephemeral" / "python"))
from keystead import Keystead  # noqa: E402

PASSWORD = "correct horse"
SECRET = "0123456789abcdef0123456789abcdef"

# Each dialect: below its mount, where an account is made, where it signs in, and where its answer has the token.
DIALECTS = {
    "noma": ("/api/auth", "/signup", "/login", "access_token"),
    "nora": ("/auth", "/signup", "/login", "token"),
    "nhost": ("/v1", "/signup/email-password", "/signin/email-password", "session.accessToken"),
}

SETTINGS = {
    "KEYSTEAD_PROJECT__DEFAULT__SECRET": SECRET,
    # A lock is one of the answers, and short.
    "KEYSTEAD_PROJECT__DEFAULT__LOCKOUT__FAILURES": "50",
    "KEYSTEAD_PROJECT__DEFAULT__LOCKOUT__WINDOW": "1s",
    "KEYSTEAD_PROJECT__DEFAULT__LOCKOUT__DURATION": "1s",
    # Limits by address have tests of their own, and would be all that this one sees.
    "KEYSTEAD_PROJECT__DEFAULT__NORA__LIMITS__GLOBAL": "1000000/15m",
    "KEYSTEAD_PROJECT__DEFAULT__NORA__LIMITS__MUTATION": "off",
    "KEYSTEAD_PROJECT__DEFAULT__NORA__LIMITS__LOGIN": "off",
    "KEYSTEAD_PROJECT__DEFAULT__NORA__LIMITS__SIGNUP_BURST": "off",
    "KEYSTEAD_PROJECT__DEFAULT__NORA__LIMITS__SIGNUP_DAILY": "off",
    # What is off by default.
    "KEYSTEAD_PROJECT__DEFAULT__NHOST__ANONYMOUS": "true",
    "KEYSTEAD_PROJECT__DEFAULT__NHOST__PASSWORDLESS_EMAIL": "true",
    "KEYSTEAD_PROJECT__DEFAULT__NHOST__OTP_EMAIL": "true",
}


def main(examples):
    failed = []
    with Keystead(**SETTINGS) as server, tempfile.TemporaryDirectory() as work:
        for dialect, (mount, sign_up, sign_in, token_field) in DIALECTS.items():
            account = {"email": f"{dialect}@example.com", "password": PASSWORD}
            status, body = server.post(mount + sign_up, account)
            assert status in (200, 201), body
            environment = {
                **os.environ,
                "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py"),
                "KEYSTEAD_SIGN_IN": server.url + mount + sign_in,
                "KEYSTEAD_ACCOUNT": json.dumps(account),
                "KEYSTEAD_TOKEN_FIELD": token_field,
                "KEYSTEAD_SECRET": SECRET,
                "KEYSTEAD_CA": server.ca_file,
            }
            configured = ["--config-file", str(HERE / f"{dialect}.toml")]
            document = f"{server.url}/openapi/{dialect}.json"
            program = [sys.executable, "-m", "schemathesis.cli", *configured, "run", document]
            bounds = ["--max-examples", examples, "--max-failures", "20", "--generation-deterministic"]
            trust = ["--tls-verify", server.ca_file]
            run = subprocess.run([*program, *bounds, *trust, "--no-color"], cwd=work, env=environment)
            if run.returncode != 0:
                failed.append(dialect)
        if failed:
            server.log.seek(0)
            print("The server's log ends:", *server.log.readlines()[-30:], sep="\n")
    if failed:
        sys.exit(f"the server and its document differ: {', '.join(failed)}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "100")
