"""The front end: an event-driven HTTP/1.1 proxy on trio. Knows HTTP, files, upstreams; no application."""
