"""Derived values: expressions over twins and those they are related to, kept in step with history by a consumer of the commit log."""
