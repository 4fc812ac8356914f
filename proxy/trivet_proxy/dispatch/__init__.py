"""How a request reaches a slot or a server, and how its answer comes back (docs/architecture.md)."""
