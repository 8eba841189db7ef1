"""The story world: a grammar, the writer that tells stories with it, the parser, and the story scores."""
