"""From next-token probabilities to text: sampling, beam search, speculative decoding, and the fast decode step."""

from gptcore.generation.batch import generate_batch
from gptcore.generation.sampling import Sampling, Step, distribution, generate

__all__ = ["Sampling", "Step", "distribution", "generate", "generate_batch"]
