"""What features tell of the data: probes, similarity, and how sure each number is."""
