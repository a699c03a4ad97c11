"""The main experiment: what a language model loses on light, and what it costs."""
