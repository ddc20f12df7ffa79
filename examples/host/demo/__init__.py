"""What `make demo` is made of: a stage with a running platform, a relay that makes trouble, work to do, and a screen."""
