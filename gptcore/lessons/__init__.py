"""Material of the chapters that is code: computations taken apart, published models, exercises."""
