"""REST: the surface of the platform over HTTP, guarded from the first byte."""
