"""The training loop as a stream of events, and what it needs: optimizers, devices, processes, faults."""
