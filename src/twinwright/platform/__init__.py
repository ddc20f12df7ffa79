"""An opened workspace: one method for each command, the same whether the platform runs here or behind its socket."""
