"""How a run is evaluated: its loss on validation windows, its samples, and the losses it is compared with."""

import math
import time
from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from gptcore.corpora.documents import Corpus
from gptcore.generation.batch import generate_batch
from gptcore.generation.fast_model import release
from gptcore.generation.sampling import Sampling
from gptcore.stories.scores import score_text
from gptcore.tokenizer import Tokenizer
from gptcore.training import events
from gptcore.training.devices import autocast
from gptcore.training.fast_loss import training_loss
from gptcore.training.state import TrainingState

SAMPLE_STORIES = 8
SAMPLE_TOKENS = 180
SAMPLING = Sampling(temperature=0.8)


@lru_cache(maxsize=16)
def eval_steps(count: int, total_steps: int) -> frozenset[int]:
    """Return `count` steps of a run at which to evaluate, closer together early on, the last step among them."""
    return frozenset(max(1, round(total_steps * (i / count) ** 1.5)) for i in range(1, count + 1))


class Evaluator:
    """Evaluates a model as it trains, always on the same validation windows and from the same prompt."""

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, batches: list, n_bytes_per_token: float):
        self.corpus, self.tokenizer, self.batches = corpus, tokenizer, batches
        self.bytes_per_token = n_bytes_per_token
        self.tells_stories = corpus.entropy is not None
        self.was_cut = False  # whether the last evaluation was left unfinished
        self.evaluating = self.sampling = 0.0  # seconds that the last evaluation and the last sample took
        self.spent = 0.0  # seconds of all of them
        self.prompt = "" if self.tells_stories else _opening(corpus.validation[0], tokenizer)

    def floor(self, val_ids: Tensor) -> float | None:
        """Return the entropy of the stories' own grammar in nats a token, None for other texts."""
        return sum(self.corpus.entropy) / len(val_ids) if self.tells_stories else None

    def evaluate_and_sample(self, state: TrainingState) -> Iterator[events.Event]:
        """Yield the validation loss, then a sample."""
        yield from self.evaluate(state)
        yield from self.sample(state)

    @torch.inference_mode()
    def evaluate(self, state: TrainingState) -> Iterator[events.Event]:
        """Measure the loss on the validation windows; the time it takes counts as training time.

        Where the run is to end meanwhile nothing is yielded.
        """
        if not state.group.leads:
            return
        started = time.perf_counter()
        model = state.model.eval()
        total, count, self.was_cut = 0.0, 0, False
        for ids, targets in self.batches:
            if state.cuts_evaluation():
                self.was_cut = True
                break
            with autocast(model.device, state.plan.precision):
                loss = training_loss(
                    model, ids.to(model.device), targets.to(model.device), path=state.plan.attention_path
                )
            total, count = total + loss.item() * targets.numel(), count + targets.numel()
        self.evaluating = self._count(state, started)
        if self.was_cut:
            return
        loss = total / count
        yield events.Evaluated(
            **state.progress(),
            val_loss=loss,
            perplexity=math.exp(min(loss, 700.0)),
            bits_per_byte=loss / math.log(2) / self.bytes_per_token,
        )

    def sample(self, state: TrainingState) -> Iterator[events.Event]:
        """Sample from the model: eight stories that are scored, or one continuation of the text.

        Where the run is to end meanwhile nothing is yielded.
        """
        if not state.group.leads:
            return
        started = time.perf_counter()
        model, tokenizer = state.model.eval(), self.tokenizer
        prompt = [tokenizer.eot_id, *tokenizer.encode(self.prompt)]
        rows = SAMPLE_STORIES if self.tells_stories else 1
        ids = torch.tensor([prompt[-model.config.context_length // 2 :]] * rows)
        room = min(SAMPLE_TOKENS, model.config.context_length - 1)
        samples = generate_batch(
            model, ids, room, SAMPLING, seed=0, stop_id=tokenizer.eot_id, give_up=state.cuts_evaluation
        )
        release(model)  # its weights change with the next step
        if samples is None:
            self._count(state, started)
            return
        texts = [self.prompt + tokenizer.decode(sample) for sample in samples]
        scores = score_text("\n\n".join(texts)).to_dict() if self.tells_stories else None
        self.sampling = self._count(state, started)
        yield events.Sampled(**state.progress(), text=texts[0], prompt=self.prompt, ladder=scores)

    def _count(self, state: TrainingState, started: float) -> float:
        """Count the time since `started` as training time; return it."""
        seconds = time.perf_counter() - started
        state.count_seconds(seconds)
        self.spent += seconds if state.step > 0 else 0.0
        return seconds


def unigram_entropy(ids: Tensor) -> float:
    """Return the loss in nats a token of a model that predicts how often each token occurs, and nothing else."""
    counts = torch.bincount(ids).double()
    frequencies = counts[counts > 0] / counts.sum()
    return float(-(frequencies * frequencies.log()).sum())


def bigram_loss(train_ids: Tensor, val_ids: Tensor, prior_count: float = 2.0) -> float:
    """Return the validation loss in nats a token of a table that counts which token followed which in training.

    Each row of counts is smoothed with `prior_count` more tokens drawn from the unigram frequencies, so that a
    pair never seen still has a probability.
    """
    size = int(max(train_ids.max(), val_ids.max())) + 1
    singles = torch.bincount(train_ids, minlength=size).double()
    pairs, counts = torch.unique(_pairs(train_ids, size), return_counts=True)
    val_pairs = _pairs(val_ids, size)
    index = torch.searchsorted(pairs, val_pairs).clamp(max=len(pairs) - 1)
    seen = torch.where(pairs[index] == val_pairs, counts[index], 0)
    unigram = (singles + 1) / (singles.sum() + size)
    probability = (seen + prior_count * unigram[val_ids[1:]]) / (singles[val_ids[:-1]] + prior_count)
    return float(-probability.log().mean())


def _pairs(ids: Tensor, size: int) -> Tensor:
    """Return a number for each token and the one after it: (N,) ids below `size` -> (N - 1,) int64."""
    return ids[:-1].to(torch.int64, copy=True).mul_(size).add_(ids[1:])


def _opening(text: str, tokenizer: Tokenizer) -> str:
    """Return the first few words of held-out text, to be continued."""
    return tokenizer.decode(tokenizer.encode(text.lstrip()[:200])[:12])
