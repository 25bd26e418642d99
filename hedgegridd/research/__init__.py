"""What learns from the past: catalog and backtests."""
