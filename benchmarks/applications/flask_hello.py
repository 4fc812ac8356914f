"""Flask's first page."""

from flask import Flask

application = Flask(__name__)


@application.get("/")
def hello() -> str:
    return "Hello, world!\n"
