"""The page for the person who hosts the app, behind a secret: what visitors use, what runs, and what may be stopped."""

from pages.labs import host
from gptcore.runs.run import list_runs
from pages.kit import book, words

book.header(__file__)
if host.gate.gate():
    words.load("host").show("about")
    host.status.status([run.id for run in list_runs()])
    host.manage_runs.manage_runs()
    host.backup.backup()
    host.gate.leave()
