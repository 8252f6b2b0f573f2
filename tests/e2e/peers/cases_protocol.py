"""."""
CASES = []
SETTINGS = {}
