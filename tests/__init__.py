"""Tests of the house, each file of one room or one promise; `making` and `material` make what they are given."""
