"""ONNX, INT8 and TensorRT."""
