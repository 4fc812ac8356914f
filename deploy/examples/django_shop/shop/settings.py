"""Settings of the example shop, as one would have them behind Trivet.

What is absent is the point: no SECURE_PROXY_SSL_HEADER, no USE_X_FORWARDED_HOST, FORCE_SCRIPT_NAME. Address,
scheme, host and the place the shop is mounted at come out right by themselves.
"""

import os
import secrets
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
DATA = (PROJECT / os.environ.get("SHOP_DATA", "data")).resolve()  # all that is ever written
DATA.mkdir(parents=True, exist_ok=True)


def kept_secret(path: Path) -> str:
    """Return the secret in `path`, making it on the first run; `link` lets one of several makers win."""
    if not path.exists():
        attempt = path.with_name(f"{path.name}.{os.getpid()}")
        attempt.touch(mode=0o600)
        attempt.write_text(secrets.token_urlsafe(48))
        try:
            os.link(attempt, path)
        except FileExistsError:
            pass
        finally:
            attempt.unlink()
    return path.read_text()


SECRET_KEY = os.environ.get("SHOP_SECRET_KEY") or kept_secret(DATA / "secret-key")
DEBUG = False
ALLOWED_HOSTS = os.environ.get("SHOP_HOSTS", "localhost 127.0.0.1 [::1]").split()

INSTALLED_APPS = [
    "catalogue",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "shop.sqlite3",
        # Several workers write: readers do not block a writer, and a writer waits for its lock at the start.
        "OPTIONS": {
            "timeout": 10,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Relative, so that Django puts the place the shop is mounted at in front: /admin-demo/static/ in the demo.
STATIC_URL = "static/"
STATIC_ROOT = os.environ.get("SHOP_STATIC") or DATA / "static"

SESSION_COOKIE_NAME = "shop_session"
CSRF_COOKIE_NAME = "shop_csrf"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "orders"
LOGOUT_REDIRECT_URL = "catalogue"

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-gb"
USE_I18N = False

# To standard error, which Trivet takes line by line into its error log.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {"django": {"handlers": [], "propagate": True}},
}
