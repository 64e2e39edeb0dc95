"""Figures, one file per kind: `draw` says which a suite has, `figures` how all of them look in the light and dark."""
