"""The library of deep dives: one Markdown file a topic, and what it takes to run the code inside.

    library.py      all explainers, in order; found by address, by chapter, by word
    reading.py      one file as data: front matter, prose, blocks of code and what they print
    constants.py    the constants of a block that carry a range, and a changed value put in
    execution.py    a block run in a child process, with a time limit
    comparison.py   is what a block prints what the text shows?
    __main__.py     run the blocks from the command line and write what they print into the text

The address of a topic is the name of its file: `rotary-embeddings.md` is `?topic=rotary-embeddings`.
"""
