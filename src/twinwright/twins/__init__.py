"""The twins themselves: who they are, their state as a function of history, and bitemporal reads."""
