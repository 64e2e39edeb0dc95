"""One file per way of measuring, each offering a measure under its own name; imported only when a suite asks for it.

Holds no list of measures: the folder is the list. A name with a leading underscore is help for measures, not one.
"""
