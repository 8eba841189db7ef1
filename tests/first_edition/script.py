"""From a text to a language model that writes: all of it, in one file.

Run it with `python FILE` where Glassbox's requirements are installed. The numbers in part 1 are the settings this
file was made from; change them there. The chapters named below explain each part.
"""

import math
import time

import torch

from gptcore import GPT, ModelConfig, TrainConfig, generate, load, save
from gptcore.corpus import Windows, cut, fixed_batches, load_corpus, prepare
from gptcore.optim import clip_gradients, learning_rate, make_optimizers, window_cuts
from gptcore.tokenizer import Tokenizer

# 1 · What to build, and how to train it (chapters 7 and 8)
MODEL = ModelConfig(
    vocab_size=320,
    context_length=32,
    d_model=16,
    n_layers=2,
    n_heads=2,
    n_kv_heads=1,
    d_ff=32,
)
TRAIN = TrainConfig(
    batch_size=4,
    grow_windows=True,
    optimizer="muon",
    learning_rate=0.01,
    min_learning_rate=0.0002,
    warmup_steps=2,
    beta2=0.98,
    seed=3,
)
STEPS = 40
PROMPT = ""
OUT = "my-model"

# 2 · Text becomes numbers (chapter 2)
tokenizer = Tokenizer.load("/home/learner/runs/finished/latest/tokenizer.json")
corpus = load_corpus("twenty-stories.txt")
train_ids, held_out_ids, notes = prepare(corpus, tokenizer, MODEL.context_length)
length = min(MODEL.context_length, len(train_ids) - 1)
windows = Windows(train_ids, length, TRAIN.batch_size, TRAIN.seed)
held_out = fixed_batches(held_out_ids, length, TRAIN.batch_size, TRAIN.eval_batches)
print(f"{len(train_ids):,} tokens to learn from, {len(held_out_ids):,} held out")

# 3 · The model, with the weights it is born with (chapters 3 to 7)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
torch.manual_seed(TRAIN.seed)  # dropout is the one draw without a generator of its own
model = GPT(MODEL, seed=TRAIN.seed).to(device)
optimizers = make_optimizers(model, TRAIN, "fp32")
print(f"{sum(weight.numel() for weight in model.parameters()):,} weights on {device}")


# 4 · Two ways to look at it: its surprise at text it has not read, and what it writes (chapters 8 and 9)
@torch.inference_mode()
def surprise() -> float:
    """Return the mean of -ln p over held-out tokens, in nats."""
    total = count = 0
    for ids, targets in held_out:
        total += model.loss(ids.to(device), targets.to(device)).item() * targets.numel()
        count += targets.numel()
    return total / count


def write(prompt: str, n_tokens: int = 120, temperature: float = 0.8) -> str:
    """Return the prompt and what the model writes after it."""
    ids = tokenizer.encode(prompt) or [tokenizer.eot_id]
    room = MODEL.context_length - len(ids)
    stop = (tokenizer.eot_id,)
    steps = generate(model, ids, min(n_tokens, room), temperature=temperature, seed=1, stop_ids=stop)
    return tokenizer.decode([*ids, *(step.token_id for step in steps)])


# 5 · Training: guess, measure, move every weight a little (chapter 8)
started = time.perf_counter()
print(f"before: {surprise():.3f} nats a token; guessing blindly costs {math.log(MODEL.vocab_size):.3f}")
for step in range(STEPS):
    rate = learning_rate(step, TRAIN, STEPS)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
    model.train()
    pieces = window_cuts(step, TRAIN, STEPS)  # short windows first, where the settings say so
    mean = 0.0
    for _ in range(TRAIN.accumulation):
        ids, targets = (cut(part, pieces).to(device) for part in windows.next())  # (B, T)
        loss = model.loss(ids, targets) / TRAIN.accumulation
        loss.backward()
        mean += loss.item()
    clip_gradients(model, TRAIN.grad_clip)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    model.eval()
    if step < 3 or (step + 1) % 50 == 0 or step + 1 == STEPS:
        print(f"step {step + 1:5}  loss {mean:.4f}  rate {rate:.2e}  {time.perf_counter() - started:6.1f} s")
print(f"after: {surprise():.3f} nats a token")

# 6 · Keep it, load it again, let it write (chapters 9 and 10)
save(model, tokenizer, OUT)
model, tokenizer = load(OUT)
print(write(PROMPT))
