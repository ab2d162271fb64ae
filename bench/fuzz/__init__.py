"""`make fuzz`: thousands of damaged and hostile files and requests, each judged in a bounded process."""
