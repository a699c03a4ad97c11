"""The array, light, bits and clock that suit a model."""
