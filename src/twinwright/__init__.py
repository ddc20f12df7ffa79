"""Twinwright: digital twins you can trust."""
