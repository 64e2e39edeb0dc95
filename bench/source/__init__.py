"""Python files read as text: what they offer, what they import, and what they say once form is left aside.

Runs none of it: a stranger's file may be looked at without being trusted.
"""
