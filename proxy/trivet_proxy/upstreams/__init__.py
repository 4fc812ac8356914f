"""Servers that are not ours: which of them is next, which is out, their names, connections and queue.

Every room here knows one proxy process only; processes tell each other nothing about servers.
"""
