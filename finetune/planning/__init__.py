"""Which strategy a run follows, and with which numbers, before anything is trained."""
