"""Holds a server against the documents it serves: schemathesis makes up requests and checks what comes back.

    KEYSTEAD=path/of/keystead python3 tests/clients/openapi/check.py [SECONDS]

Needs the package schemathesis. Each dialect gets SECONDS (20), and the same requests in each run.
"""

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
ACCOUNT = f'{{"email":"ada@example.com","password":"{PASSWORD}"}}'

# Each dialect: below its mount, where an account is made, where it signs in, and what the token's field is called.
DIALECTS = {
    "noma": ("/api/auth", "/signup", "/login", "access_token"),
}

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "allow_header_conformance",
    "unsupported_method",
    "ignored_auth",
    "negative_data_rejection",
]

SETTINGS = {
    "KEYSTEAD_PROJECT__DEFAULT__SECRET": SECRET,
    # A lock is one of the answers, and short.
    "KEYSTEAD_PROJECT__DEFAULT__LOCKOUT__FAILURES": "50",
    "KEYSTEAD_PROJECT__DEFAULT__LOCKOUT__WINDOW": "1s",
    "KEYSTEAD_PROJECT__DEFAULT__LOCKOUT__DURATION": "1s",
}


def main(seconds):
    failed = []
    with Keystead(**SETTINGS) as server, tempfile.TemporaryDirectory() as work:
        for dialect, (mount, sign_up, sign_in, token_field) in DIALECTS.items():
            status, body = server.post(mount + sign_up, {"email": "ada@example.com", "password": PASSWORD})
            assert status in (200, 201), body
            environment = {
                **os.environ,
                "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py"),
                "KEYSTEAD_SIGN_IN": server.url + mount + sign_in,
                "KEYSTEAD_ACCOUNT": ACCOUNT,
                "KEYSTEAD_TOKEN_FIELD": token_field,
                "KEYSTEAD_SECRET": SECRET,
                "KEYSTEAD_CA": server.ca_file,
            }
            program = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi/{dialect}.json"]
            bounds = ["--max-time", seconds, "--max-failures", "20", "--generation-deterministic"]
            sure = ["--tls-verify", server.ca_file, "--checks", ",".join(CHECKS)]
            run = subprocess.run([*program, *bounds, *sure, "--no-color"], cwd=work, env=environment)
            if run.returncode != 0:
                failed.append(dialect)
    if failed:
        sys.exit(f"the server and its document differ: {', '.join(failed)}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "20")
