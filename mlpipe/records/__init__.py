"""The record's schema, its codec, and the capture of code, environment and cost."""
