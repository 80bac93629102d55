"""The groups of routes, one module each."""
