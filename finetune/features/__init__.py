"""The outputs of the stages of a frozen network: read in one pass, cached, trained on."""
