"""Questions and their golds, in one form, wherever they come from."""
