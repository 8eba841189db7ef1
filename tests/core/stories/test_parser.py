"""One automaton grown by several threads at once: the same answers as when one thread grows it."""

import sys
import threading

import pytest

from gptcore.stories.parser import Automaton
from gptcore.stories.printing import read_tokens
from gptcore.stories.writer import write_stories

N_THREADS = 6


@pytest.fixture
def impatient():
    """Threads that take turns as often as Python can have them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("attempt", range(3))
def test_threads_on_a_cold_automaton_accept_what_one_thread_accepts(impatient, attempt):
    sentences = [sentence for story in write_stories(12, seed=50 + attempt) for sentence in story.sentences]
    texts = [read_tokens(sentence) for sentence in sentences]
    texts += [tokens[:-1] for tokens in texts] + [tokens[::-1] for tokens in texts]

    def judge(automaton: Automaton) -> list[bool]:
        states = [automaton.walk(tokens) for tokens in texts]
        return [state is not None and automaton.is_final(state) for state in states]

    expected = judge(Automaton())
    assert all(expected[: len(sentences)]) and not any(expected[len(sentences) :])
    shared, begin, answers = Automaton(), threading.Barrier(N_THREADS), []

    def work() -> None:
        begin.wait()
        answers.append(judge(shared))

    threads = [threading.Thread(target=work) for _ in range(N_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * N_THREADS
