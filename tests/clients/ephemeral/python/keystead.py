"""Keystead in your tests: start a server in memory, move its clock, read its mails. Python 3.8 or later, nothing else.

    with Keystead(KEYSTEAD_PROJECT__DEFAULT__VERIFICATION__DELIVERY="mail") as server:
        status, body = server.post("/api/auth/signup", {"email": email, "password": password})
        [mail] = server.mailbox(email)   # waits until it is there
        server.advance("15m")            # access tokens have expired now

Copy this file into your project. Every setting is an environment variable; the program is found by KEYSTEAD, else on the
PATH. The server ends with your process, however that ends.
"""

import http.client
import json
import os
import socket
import ssl
import subprocess
import tempfile
from urllib.parse import quote, urlsplit


class Keystead:
    def __init__(self, **settings):
        # The least that hashing may cost: a test suite has no attackers.
        cheap = {"KEYSTEAD_HASHING__MEMORY_KIB": "8", "KEYSTEAD_HASHING__ITERATIONS": "1"}
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [os.environ.get("KEYSTEAD", "keystead"), "serve", "--ephemeral"],
            env={**os.environ, **cheap, **settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log,
        )
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise RuntimeError(f"keystead ended ({self.process.wait()}): {self.log.read().decode()}")
        ready = json.loads(line)
        self.url = ready["urls"][0]
        self.project = ready["projects"][0]["id"]
        self.control = ready["control"]
        # Trusts this server and no other. For a client of your own: requests.get(url, verify=server.ca_file).
        self.ca_file = ready["ca"]
        self.tls = ssl.create_default_context(cafile=self.ca_file)

    def get(self, path, headers=None):
        return self._call("GET", path, None, headers)

    def post(self, path, body, headers=None):
        return self._call("POST", path, body, headers)

    def advance(self, by):
        """Moves the server's clock, by "90s", "15m", "24h" …; the new time."""
        return self._ask("POST", "/testing/clock", {"advance": by})["now"]

    def mailbox(self, to, count=1):
        """The mails to this address, newest last; waits until there are as many as wanted."""
        return self._ask("GET", f"/testing/mailbox?to={quote(to)}&count={count}&wait=10s")

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _call(self, method, path, body, headers):
        connection = http.client.HTTPSConnection(urlsplit(self.url).netloc, context=self.tls)
        return _exchange(connection, method, path, body, headers)

    def _ask(self, method, path, body=None):
        status, answer = _exchange(_UnixConnection(self.control), method, path, body)
        if status != 200:
            raise RuntimeError(f"{method} {path}: {answer}")
        return answer


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def _exchange(connection, method, path, body, headers=None):
    headers = dict(headers or {})
    if body is not None:
        body, headers["content-type"] = json.dumps(body), "application/json"
    try:
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read() or "null")
    finally:
        connection.close()
