"""Market data in: recorded, synthetic. No decisions."""
