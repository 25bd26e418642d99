"""Try a breaker before it is armed: on a journal, on recorded data, and what it would have cost or saved."""
