"""What a run works on, put together from the spec."""
