"""The tests that the image depends on."""

import unittest

from app import VERSION
from app.server import app
from app.sign import sign


class Application(unittest.TestCase):
    def test_index_names_the_version(self):
        answer = app.test_client().get("/")
        self.assertEqual(answer.status_code, 200)
        self.assertEqual(answer.get_json()["version"], VERSION)

    def test_signature_depends_on_the_key(self):
        self.assertNotEqual(sign(b"one"), sign(b"another"))
