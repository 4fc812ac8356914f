"""The one application of the project: what the shop sells and what was ordered."""
