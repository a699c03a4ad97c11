"""How compute, energy, conversions, memory and time grow: exponents and crossings."""
