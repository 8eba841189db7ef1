"""The library of deep dives: all explainers, one of them (?topic=…), or the whole set to print (?print=true)."""

import streamlit as st

from explainers import library
from explainers.reading import ExplainerError
from pages.kit import book, explainer_links, words
from pages.labs import explainers

row = book.header(__file__, titled=False)
text = words.load("explainers")
topic = st.query_params.get("topic")
wanted = None
if topic is not None:
    try:
        wanted = library.explainer(topic)
    except ExplainerError as error:
        st.error(f"{error}."[:300], icon=":material/link_off:")

explainer_links.scroll_to_top(topic or st.query_params.get("print", "list"))
if wanted is not None:
    explainers.topic.topic_page(wanted)
elif st.query_params.get("print") == "true":
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
