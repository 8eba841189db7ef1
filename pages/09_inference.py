"""Chapter 9: inference. Two lanes write the same text, and every dial that chooses a token is live."""

import streamlit as st

from pages.kit import book, words
from pages.labs import inference

book.header(__file__)
text = words.load("09_inference")

text.show("can_do")
text.show("race")
inference.two_lanes()

text.show("analogy")

text.show("temperature")
inference.three_temperatures()
text.show("filters")
inference.nine_shares()

text.show("write")
inference.choose_and_write()

st.divider()
text.show("look")
text.show("next")
book.footer(__file__)
