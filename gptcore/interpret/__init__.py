"""What a trained model has learned: heads, layers, attributions, ablations, stages of one forward pass."""
