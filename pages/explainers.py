"""The library of deep dives: all explainers, one of them (?topic=…), or the whole set to print (?print=true)."""

import streamlit as st

from pages.labs import explainers
from explainers import library
from pages.kit import book, explainer_links, links, words

row = book.header(__file__, titled=False)
text = words.load("explainers")
topic = links.read("topic", links.Choice([one.topic for one in library.explainers()]), None)
printed = links.read("print", links.Switch(), False)

explainer_links.scroll_to_top(topic or ("print" if printed else "list"))
if topic is not None:
    explainers.topic.topic_page(library.explainer(topic))
elif printed:
    book.title(row)
    text.show("printed")
    explainers.print_view.print_view(library.explainers())
else:
    book.title(row)
    every = library.explainers()
    text.show("about", n=len(every), minutes=sum(one.minutes for one in every))
    explainers.topic_list.topic_list()
    st.divider()
    explainer_links.button(text.read("print_link"), "open_print", icon=":material/print:", print="true")
    book.footer(__file__)
