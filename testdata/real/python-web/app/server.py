"""Serves the application on 127.0.0.1, on the port that PORT names."""

import os
import pathlib

from flask import Flask, jsonify

from app import VERSION

app = Flask(__name__)


@app.get("/")
def index():
    """What is running, and as whom."""
    return jsonify(application="python-web", version=VERSION, uid=os.getuid())


@app.get("/signature")
def signature():
    """What the build made of the secret."""
    return pathlib.Path("/srv/signature").read_text()


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["PORT"]))
