"""Cases become outcomes: under fixed conditions, one case at a time, a failure being a row with its reason."""
