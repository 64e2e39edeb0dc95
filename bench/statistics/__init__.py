"""Numbers in, intervals and exact tests out; no metric, no file and no frame is known here."""
