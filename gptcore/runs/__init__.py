"""Runs as folders that outlive their process, the queue they wait in, and the workers that train them."""
