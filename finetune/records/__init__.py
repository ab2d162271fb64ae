"""What a run writes to disk, each with one schema for reading and writing."""
