"""The gate: is the code that is here still what was accepted, in counts exactly and in speed beyond the noise?"""
