"""The claims of the field, one module a topic; each lists its own in `CLAIMS`."""
