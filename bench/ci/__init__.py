"""What CI systems read, each format made from one list of `Outcome`: JUnit XML, GitHub, benchmark charts, badge, JSON.

Decides nothing: a verdict's status and its words come from whoever judged.
"""
