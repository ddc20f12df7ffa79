"""The graph as clients change it: what it is now in memory, what one commit is to write, and the operations that say so."""
