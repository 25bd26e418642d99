"""What decides: synchronous state machines. Event and time in, effects out; no socket, clock, file, random or await."""
