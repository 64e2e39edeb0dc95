"""One file per kind of data set, each a factory under its own name; imported only when a case asks for it."""
