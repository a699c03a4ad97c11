"""How the light that a model needs moves with its width."""
