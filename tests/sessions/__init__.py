"""Sessions, runs and what clients hear of them."""
