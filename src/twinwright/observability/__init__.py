"""Structured logs with correlation ids, and metrics: knows nothing of the rest of the platform."""
