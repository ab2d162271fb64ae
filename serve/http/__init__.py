"""How HTTP is served: slow clients, full queues and the end of the process. Knows nothing of models."""
