"""Gates: what a request must pass before the handler of its route, each a room that wraps the next.

None knows another; their order is gating.py's. A gate refuses by HttpError, so that pages and logs know why.
"""
