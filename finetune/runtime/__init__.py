"""What a process runs with: arithmetic, seeds, threads, the terminal."""
