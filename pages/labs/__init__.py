"""The experiments of the chapters: each is one fragment function, in a module named after its chapter."""
