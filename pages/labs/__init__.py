"""The experiments of the chapters: each is one fragment function, in a module named after its chapter."""

import torch

# One core for a page's own sums: small products gain little by a second one, and wait for it whenever a browser or
# another visitor has it. Runs and measurements are processes of their own; a large model asks for more (`session`).
torch.set_num_threads(1)
