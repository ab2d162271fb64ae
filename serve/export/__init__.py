"""Write a trained network as one checked ONNX file. The only part of `serve` that needs torch."""

from serve.export.float16 import export_float16
from serve.export.graphs import ExportError
from serve.export.int8.run import export_int8
from serve.export.onnx_file import export_onnx
from serve.export.run import export_folder, export_run

__all__ = ["ExportError", "export_float16", "export_folder", "export_int8", "export_onnx", "export_run"]
