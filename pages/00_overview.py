"""Chapter 0: what a GPT is. A story writes itself before anything is explained."""

import streamlit as st

from pages.kit import book, words
from pages.labs import overview

row = book.header(__file__, titled=False)
text = words.load("00_overview")

overview.first_ten_seconds()
overview.train_here()
st.divider()

book.title(row)
text.show("can_do")
text.show("analogy")

text.show("example")
overview.one_prediction()

text.show("lab")
overview.continuations()

text.show("look")
text.show("next")
book.footer(__file__)
