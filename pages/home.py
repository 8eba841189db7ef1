"""The front page: what Glassbox is, a model that writes, and the ways in."""

import sys
import time

import streamlit as st

from pages.kit import book, front, living_model

if front.redirect():
    st.stop()
row = book.header(__file__, titled=False)
front.head(row)
trains = front.ways_in()
place = front.run_place()

# The first text comes from a file and leaves for the browser here: importing torch holds the interpreter's lock, and
# the server's thread that sends the first words would wait for it.
if living_model.is_first():
    living_model.show_first()
    book.footer(__file__)
if "torch" not in sys.modules:
    time.sleep(0.1)
from pages.labs import home  # noqa: E402

if not living_model.is_first():
    home.flows.living_text()
    book.footer(__file__)
with place:
    home.training.train_here(trains)
