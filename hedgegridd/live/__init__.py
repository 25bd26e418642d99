"""The shell: performs effects and feeds events. No rules of any kind."""
