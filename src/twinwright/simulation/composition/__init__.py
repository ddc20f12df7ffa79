"""Models that are made of connected components: what their files say, in which order they are run, and how they are put together."""
