"""From next-token probabilities to text: sampling, beam search, speculative decoding, and the fast decode step."""
