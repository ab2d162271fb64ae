"""What differs between tasks in a model file, its answers and its checks: one object per task, no torch."""

from serve.tasks.base import Answer, Output, Task, find_task, register, task_names
from serve.tasks.classification import Classification
from serve.tasks.segmentation import Segmentation

__all__ = [
    "Answer",
    "Classification",
    "Output",
    "Segmentation",
    "Task",
    "find_task",
    "register",
    "task_names",
]
