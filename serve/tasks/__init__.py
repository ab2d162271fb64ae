"""What differs between tasks in a model file, its answers and its checks: one object per task, no torch."""

from serve.tasks.base import Answer, Output, Task, find_task, register_task, task_names
from serve.tasks.classification import Classification
from serve.tasks.segmentation import Segmentation

register_task(Classification())
register_task(Segmentation())

__all__ = ["Answer", "Output", "Task", "find_task", "register_task", "task_names"]
