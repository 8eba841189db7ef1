"""Where text comes from, what is held out for validation, and how windows of tokens are drawn from it."""
