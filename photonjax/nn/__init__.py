"""Adapters: how a model gets its products onto an optical core."""
