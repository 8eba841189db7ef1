"""Models and runs in the formats of others: Hugging Face folders and tokenizers, scripts and notebooks."""
