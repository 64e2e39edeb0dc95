"""How fast things are: run by name, never with the others, for their numbers belong to a machine."""
