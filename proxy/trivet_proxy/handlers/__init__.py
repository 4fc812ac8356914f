"""What a route does with a request: one room an action, none of which knows another.

A handler is `async (request, writer) -> None`, composed at load.
"""
