"""Beam search: keep the n most likely texts at every step instead of one.

Greedy decoding takes the most likely token each time, but the most likely first token can lead to an unlikely
text. A beam of width n continues the n most likely prefixes (Lowerre 1976; for translation Sutskever et al. 2014),
and ranks finished texts by their log-probability over a power of their length (Wu et al. 2016).
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gptcore.generation.fast_model import FastModel
from gptcore.generation.sampling import check_prompt
from gptcore.model import GPT

ROOT = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One token that was considered, as a node of the tree. Node 0 is the prompt and its own parent.

    `log_probability` (nats) is the token's own, given the path to it; `total` is the whole path's. `fate` is
    `kept`, `ended` (an end token that was set aside as a finished text), `cut`, or `greedy` for what greedy
    wrote after the beam had left its path.
    """

    parent: int
    token_id: int
    log_probability: float
    total: float
    depth: int
    fate: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Hypothesis:
    """One text the search found.

    `token_ids` leave the end token out, as `generate` does; `total` (nats) and `n_counted` include it, since the
    model had to choose to end. `score` is `total` over `n_counted` to the power of the length penalty.
    `path` holds the indices of its nodes, from the first new token on.
    """

    token_ids: tuple[int, ...]
    total: float
    n_counted: int
    score: float
    ended: bool
    path: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Beams:
    """The result of a search: its texts, the best first, greedy's own, and every node that was considered.

    `reason` is `stop` when as many texts ended as there are beams, else `length` or `context`. `n_calls` counts
    the passes of the model; each carries one row for every live text.
    """

    hypotheses: tuple[Hypothesis, ...]
    greedy: Hypothesis
    nodes: tuple[Node, ...]
    reason: str
    n_calls: int

    @property
    def best(self) -> Hypothesis:
        return self.hypotheses[0]


def length_normalized(total: float, n_tokens: int, length_penalty: float) -> float:
    """Return total / n_tokens ** length_penalty: 0 leaves the sum, 1 makes the mean of it.

    A sum of log-probabilities falls with every token, so without a penalty short texts win.

    >>> length_normalized(-6.0, 4, 0.0), length_normalized(-6.0, 4, 1.0), length_normalized(-6.0, 4, 0.5)
    (-6.0, -1.5, -3.0)
    """
    return total / n_tokens**length_penalty


def _most_likely(totals: Tensor, count: int) -> Tensor:
    """Return the indices of the `count` largest totals, the largest first; of equal ones the first, as greedy does.

    In bf16 equal scores are common, and `topk` alone takes any of them.
    """
    least = totals.topk(min(len(totals), count)).values[-1]
    candidates = (~(totals < least)).nonzero().squeeze(-1)
    return candidates[totals[candidates].sort(descending=True, stable=True).indices[:count]]


class _Rows:
    """The texts still growing, a row of one batch each. Ids and scores are on the CPU, wherever the model is."""

    def __init__(self, model: GPT, ids: Sequence[int], use_cache: bool, capacity: int):
        self.model = FastModel(model)
        self.ids = torch.tensor([list(ids)])  # (B, T), one row until the first choice
        self.cache = self.model.new_cache(capacity=capacity) if use_cache else None

    def log_probabilities(self) -> Tensor:
        """Return what every token of the vocabulary would add to each row, in nats: (B, V)."""
        fresh = self.ids if self.cache is None else self.ids[:, self.cache.length :]
        logits = self.model.next_logits(fresh.to(self.model.device), self.cache)
        # Over the whole vocabulary: made to sum to 1 over a shortlist, unlikely texts would look likely. In float64,
        # which Apple's GPUs lack.
        return torch.log_softmax(logits.cpu().double(), dim=-1)

    def extend(self, rows: Tensor, token_ids: Tensor) -> None:
        """Make each of `rows` (B',), in this order, longer by its token (B',)."""
        self.ids = torch.cat((self.ids[rows], token_ids.unsqueeze(1)), dim=1)
        if self.cache is not None:
            self.cache.take(rows.to(self.model.device))


@torch.inference_mode()
def beam_search(
    model: GPT,
    ids: Sequence[int] | Tensor,
    max_new_tokens: int,
    *,
    n_beams: int = 4,
    length_penalty: float = 1.0,
    stop_ids: Collection[int] = (),
    use_cache: bool = True,
    keep_greedy: bool = True,
) -> Beams:
    """Return the most likely continuations of one sequence of ids that a beam of `n_beams` live texts finds.

    At each step every live text is continued by every token, and the n most likely survive. One that takes a token
    of `stop_ids`, and is among the n most likely with it, is set aside as finished. The search ends when n texts
    have finished, after `max_new_tokens`, or when the context is full; texts still alive then count as they are.
    Only new tokens count in a score, the prompt does not.

    A beam may drop greedy's path and end with a less likely text. With `keep_greedy` greedy's own text is among
    the hypotheses, so the best is never below it. Raises ValueError as `generate` does, and for fewer than one
    beam or a length penalty below 0.
    """
    ids = torch.as_tensor(ids, dtype=torch.int64).flatten().tolist()
    if n_beams < 1:
        raise ValueError(f"n_beams={n_beams} must be at least 1, which is greedy decoding")
    if not 0 <= length_penalty < math.inf:
        raise ValueError(f"length_penalty={length_penalty} must be a number of at least 0")
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens={max_new_tokens} must be at least 1")
    check_prompt(ids, model.config.vocab_size, model.config.context_length)
    search = _Search(model, ids, max_new_tokens, n_beams, length_penalty, stop_ids, use_cache)
    reason = search.run()
    if n_beams == 1:
        greedy = search.best_first()[0]
        return search.result(greedy, reason)
    alone = _Search(model, ids, max_new_tokens, 1, length_penalty, stop_ids, use_cache)
    alone.run()
    return search.result(search.adopt(alone, among_finished=keep_greedy), reason)


class _Search:
    """A search under way: the live rows, the tree, and what has finished."""

    def __init__(self, model, ids, max_new_tokens, n_beams, length_penalty, stop_ids, use_cache):
        room = model.config.context_length - len(ids) + 1  # the last token is drawn from a full context
        self.n_steps, self.reason = min((max_new_tokens, "length"), (room, "context"))
        self.n_beams, self.length_penalty = n_beams, length_penalty
        self.rows = _Rows(model, ids, use_cache, min(len(ids) + max_new_tokens, model.config.context_length))
        self.stops = torch.zeros(model.config.vocab_size, dtype=torch.bool)
        for token_id in stop_ids:
            if 0 <= token_id < model.config.vocab_size:
                self.stops[token_id] = True
        self.nodes = [Node(parent=ROOT, token_id=-1, log_probability=0.0, total=0.0, depth=0, fate="kept")]
        self.live, self.finished, self.n_calls = [ROOT], [], 0

    def run(self) -> str:
        """Search to the end and return why it ended."""
        among_best = []
        for _ in range(self.n_steps):
            if len(self.finished) >= self.n_beams or not self.live:
                return "stop"
            among_best = self.step()
        reason = self.reason if len(self.finished) < self.n_beams else "stop"
        self.finished += [self.hypothesis(node_id, ended=False) for node_id in among_best]
        for node_id in set(self.live) - set(among_best):  # moved up to go on, and there is no further
            self.nodes[node_id] = replace(self.nodes[node_id], fate="cut")
        return reason

    def step(self) -> list[int]:
        """Continue every live text by every token; keep the most probable, set aside those that ended.

        Returns the live ones among the n most probable of all: where some end, others take their slots.
        """
        own = self.rows.log_probabilities()  # (B, V)
        self.n_calls += 1
        so_far = torch.tensor([self.nodes[node_id].total for node_id in self.live]).to(own)
        totals = (so_far.unsqueeze(1) + own).flatten()  # (B·V,)
        # At most n times the end tokens can end, so among so many there are n that go on.
        n_candidates = self.n_beams * (1 + max(1, int(self.stops.sum())))
        best = _most_likely(totals, n_candidates)
        rows, token_ids = best // own.shape[1], best % own.shape[1]
        parents, self.live, going = self.live, [], []
        for rank, (row, token_id) in enumerate(zip(rows.tolist(), token_ids.tolist())):
            fate = self.fate(rank, token_id, n_going=len(going))
            if fate == "cut" and rank >= 2 * self.n_beams:
                continue  # the tree shows the first that were cut, not all
            node_id = self.add(parents[row], token_id, float(own[row, token_id]), fate)
            if fate == "ended":
                self.finished.append(self.hypothesis(node_id, ended=True))
            elif fate == "kept":
                self.live.append(node_id)
                going.append(rank)
        if going:
            chosen = torch.tensor(going)
            self.rows.extend(rows[chosen], token_ids[chosen])
        return [node_id for node_id, rank in zip(self.live, going) if rank < self.n_beams]

    def fate(self, rank: int, token_id: int, n_going: int) -> str:
        """Return what becomes of the candidate of this rank, with so many going on already."""
        if self.stops[token_id]:
            return "ended" if rank < self.n_beams else "cut"
        return "kept" if n_going < self.n_beams else "cut"

    def add(self, parent: int, token_id: int, log_probability: float, fate: str) -> int:
        """Add a node to the tree and return its index."""
        above = self.nodes[parent]
        self.nodes.append(
            Node(
                parent=parent,
                token_id=token_id,
                log_probability=log_probability,
                total=above.total + log_probability,
                depth=above.depth + 1,
                fate=fate,
            )
        )
        return len(self.nodes) - 1

    def hypothesis(self, node_id: int, *, ended: bool) -> Hypothesis:
        """Return the text that ends at this node."""
        node, path = self.nodes[node_id], []
        while node_id != ROOT:
            path.append(node_id)
            node_id = self.nodes[node_id].parent
        path.reverse()
        token_ids = tuple(self.nodes[step].token_id for step in path)
        return Hypothesis(
            token_ids=token_ids[:-1] if ended else token_ids,
            total=node.total,
            n_counted=node.depth,
            score=length_normalized(node.total, node.depth, self.length_penalty),
            ended=ended,
            path=tuple(path),
        )

    def adopt(self, other: "_Search", *, among_finished: bool) -> Hypothesis:
        """Draw another search's best text into this tree and return it, as one more finished text if asked."""
        best = other.best_first()[0]
        children = {(node.parent, node.token_id): node_id for node_id, node in enumerate(self.nodes)}
        node_id = ROOT
        for step in best.path:
            node = other.nodes[step]
            here = children.get((node_id, node.token_id))
            node_id = (
                self.add(node_id, node.token_id, node.log_probability, "greedy") if here is None else here
            )
        adopted = self.hypothesis(node_id, ended=best.ended)
        if among_finished and all(adopted.path != hypothesis.path for hypothesis in self.finished):
            self.finished.append(adopted)
        return adopted

    def best_first(self) -> list[Hypothesis]:
        return sorted(self.finished, key=lambda hypothesis: -hypothesis.score)

    def result(self, greedy: Hypothesis, reason: str) -> Beams:
        return Beams(
            hypotheses=tuple(self.best_first()),
            greedy=greedy,
            nodes=tuple(self.nodes),
            reason=reason,
            n_calls=self.n_calls,
        )
