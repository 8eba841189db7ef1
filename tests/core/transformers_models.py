"""Models of transformers that the tests of loading and exporting compare ours with."""

import torch

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}


def randomized(model: torch.nn.Module) -> torch.nn.Module:
    """Draw weights wide enough that logits are far apart, gains and biases included."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            weight.copy_(1 + 0.3 * noise if "norm" in name or "ln_" in name else 0.1 * noise)
    return model.eval()
