"""The operator's command `trivet`: starts, checks, watches and stops what the other packages do."""
