"""One object per kind of answer that a network can give; importing this package registers them."""

from finetune.tasks import classification, segmentation
from finetune.tasks.base import TASKS, Task, find_task, register

__all__ = ["TASKS", "Task", "classification", "find_task", "register", "segmentation"]
