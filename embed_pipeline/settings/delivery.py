"""Settings of export and deployment."""

from typing import Literal

from pydantic import Field, field_validator

from embed_pipeline.settings.section import Section, formerly_keyed, runtime


class ExportSettings(Section):
    """ONNX, INT8, TensorRT."""

    opset: int = Field(18, ge=17, le=23, description="ONNX opset; the default exporter starts at 18.")
    min_cosine: float = Field(0.9999, gt=0, le=1, description="ONNX against checkpoint, lowest cosine accepted.")
    int8: bool = Field(True, description="Also write the quantised model.")
    calibration_passages: int = Field(64, ge=1, description="Passages of the corpus used for calibration.")
    tensorrt_precision: Literal["fp32", "fp16"] = Field("fp16", description="Arithmetic of the TensorRT engine.")
    tensorrt_max_batch: int = Field(64, ge=1, description="Most texts in one call of the engine.")
    tensorrt_max_length: int = Field(256, ge=8, description="Most tokens of a text in the engine.")


class DeploySettings(Section):
    """The endpoint."""

    target: Literal["local"] = Field("local", description="Where the endpoint runs: on this machine.")
    model: Literal["onnx", "onnx_int8"] = Field("onnx", description="Which exported model is served.")
    model_name: str = Field("embed-pipeline", min_length=1, description="Name that clients pass as model.")
    host: str = formerly_keyed("127.0.0.1", "Address that the endpoint listens on.", protected="address")
    port: int = formerly_keyed(8808, "Its port.", ge=1, le=65535)
    block_on_no_gain: bool = Field(False, description="Refuse to deploy a model that is not significantly better.")
    tolerance_at_1: float = Field(0.03, ge=0, description="Endpoint against checkpoint, metrics at k < 5.")
    tolerance: float = Field(0.01, ge=0, description="Endpoint against checkpoint, metrics at k >= 5.")
    startup_seconds: float = runtime(60.0, "Longest wait for the endpoint to become healthy.", gt=0)
    threads: int = runtime(0, "ONNX Runtime threads; 0: all cores.", ge=0)

    @field_validator("host")
    @classmethod
    def _is_an_address(cls, host: str) -> str:
        if not host or any(char.isspace() or char in "/@?#[]" for char in host):
            raise ValueError("must be an address of this machine or its name, such as 127.0.0.1, 0.0.0.0 or localhost")
        return host


class LaunchpadSettings(Section):
    """What a single run may be given in the web UI's launchpad."""

    models: tuple[str, ...] = runtime(
        (),
        "Models that a run may name besides those of this file: hub ids, folders, names at the chat endpoint.",
        protected="model",
    )
