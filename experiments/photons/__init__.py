"""How many photons each kind of layer needs."""
