"""docs/INLINE.md: every command in it is run."""
ROUTED = ()
