"""An app's tests against a real server in memory:

KEYSTEAD=path/of/keystead python3 -m unittest discover tests/clients/ephemeral/python
"""

import os
import unittest

from keystead import Keystead

PASSWORD = "correct horse"


def bearer(session):
    return {"authorization": f"Bearer {session['access_token']}"}


class SignUp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Keystead(
            KEYSTEAD_PROJECT__DEFAULT__VERIFICATION__MODE="strict",
            KEYSTEAD_PROJECT__DEFAULT__VERIFICATION__DELIVERY="mail",
        )
        cls.addClassCleanup(cls.server.stop)

    def test_sign_up_verify_by_mail_expire_refresh(self):
        server, email = self.server, "ada@example.com"
        status, body = server.post("/api/auth/signup", {"email": email, "password": PASSWORD})
        self.assertEqual(status, 202)
        self.assertNotIn("verification_token", body, "it is in the mail, and nowhere else")

        [mail] = server.mailbox(email)
        self.assertEqual(mail["template"], "verify-email")
        self.assertIn(mail["code"], mail["text"])
        status, body = server.post("/api/auth/verify-email/confirm", {"token": mail["code"]})
        self.assertEqual(status, 200, body)

        _, session = server.post("/api/auth/login", {"email": email, "password": PASSWORD})
        self.assertEqual(server.get("/api/auth/me", bearer(session))[0], 200)
        server.advance("15m")
        self.assertEqual(server.get("/api/auth/me", bearer(session))[0], 401, "the access token has expired")

        status, session = server.post("/api/auth/refresh", {"refresh_token": session["refresh_token"]})
        self.assertEqual(status, 200)
        status, body = server.get("/api/auth/me", bearer(session))
        self.assertEqual(body["user"]["email"], email)

    def test_a_second_server_has_data_of_its_own_and_leaves_nothing_behind(self):
        with Keystead() as other:
            self.assertNotEqual(other.url, self.server.url)
            status, _ = other.post("/api/auth/login", {"email": "ada@example.com", "password": PASSWORD})
            self.assertEqual(status, 401)
        self.assertFalse(os.path.exists(other.ca_file))


if __name__ == "__main__":
    unittest.main()
