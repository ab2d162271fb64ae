"""Optimizers, schedules, parameter groups, and which parameters learn."""
