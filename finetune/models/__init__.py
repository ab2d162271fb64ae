"""Networks made of trained parts: ensembles, stage probes, test-time augmentation."""
