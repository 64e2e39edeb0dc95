"""One file per paper, each offering a factory under its own name; imported only when a suite asks for it.

Holds no list of models (the folder is the list) and nothing that two models share.
"""
