"""A module for each page, with one `draw`."""
