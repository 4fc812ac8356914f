"""Requests and responses of HTTP/1.1 without I/O: what is accepted, what it means, what is sent on."""
