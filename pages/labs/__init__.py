"""The experiments of the chapters: each is one fragment function, in a module named after its chapter.

Every page imports this package before anything else of the book, chapter 0 after its first words. Who comes first on
a fresh server reads in all that any page needs, and the others wait for it here. Several threads that import one
large library at once see it half made: Plotly takes pandas out of `sys.modules` as it finds it.
"""

import importlib
import pkgutil
import sys

import torch
from plotly import graph_objects, subplots

import gptcore
from gptcore.resources import share_heaps

# Libraries that others import in the middle of their work: Plotly and Streamlit, tiktoken when it fetches a vocabulary.
IMPORTED_LATE = ("pandas", "requests")

# One core for a page's own sums: small products gain little by a second one, and wait for it whenever a browser or
# another visitor has it. Runs and measurements are processes of their own; a large model asks for more (`session`).
torch.set_num_threads(1)
# Visitors' threads come and go, and the tensors of one would leave holes that no other fills.
share_heaps()
# A thread that computes gives way after 1 ms instead of 5: a page is some 200 messages, and the thread that sends them
# waits for that before each. With five visitors computing, 95% of slider answers came within 0.35 s instead of 0.87.
sys.setswitchinterval(0.001)


def _read_in() -> None:
    """Import every module of the labs and of the library, and have Plotly import what it leaves to a first figure."""
    for library in IMPORTED_LATE:
        importlib.import_module(library)
    for package in (importlib.import_module(__name__), gptcore):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    subplots.make_subplots(rows=1, cols=2).add_trace(graph_objects.Scatter(x=[0], y=[0])).to_json()


_read_in()
