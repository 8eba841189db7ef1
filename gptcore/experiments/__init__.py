"""Measurements of what the field claims, benchmarks against other libraries, the arena of architectures."""
