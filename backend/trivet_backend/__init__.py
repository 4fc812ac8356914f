"""The WSGI pool: preforked workers that run any PEP 3333 application. Blocking code, no trio."""

from trivet_backend.interrupt import RequestTimeout

__all__ = ["RequestTimeout"]
