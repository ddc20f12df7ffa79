"""Shadow runs: models that follow their twins as consumers of the commit log."""
