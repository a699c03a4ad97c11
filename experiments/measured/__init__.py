"""A real photonic processor: its errors, a twin that errs alike, and a language model on the twin."""
