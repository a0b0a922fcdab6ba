"""Prints the signature of the application's version, made with the key in the file that is named."""

import hashlib
import hmac
import sys

from app import VERSION


def sign(key: bytes) -> str:
    """The signature of the version, in hexadecimal digits."""
    return hmac.new(key, VERSION.encode(), hashlib.sha256).hexdigest()


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        print(sign(file.read()))
