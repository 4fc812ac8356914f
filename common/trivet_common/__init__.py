"""What proxy and backend must agree on: HTTP/1.1 without I/O, the configuration, the pool's shared state."""

__version__ = "0.1.0"
