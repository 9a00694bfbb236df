"""Work on many rows: reading them, and handing them to providers' batch endpoints."""
