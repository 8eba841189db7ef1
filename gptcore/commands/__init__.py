"""The commands of `python -m gptcore`: each is the function `run` of the module that bears its name.

A module is imported when its command runs. `run` takes the parsed options, and returns the exit status or None for 0.
Bad input is a ValueError or an OSError, whose sentence ends the program with exit status 2.
"""
