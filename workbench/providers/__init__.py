"""One wire family per module: a prepared call in, wire events out. No retries, no limits, no cache, no prices here."""
