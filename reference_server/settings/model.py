"""Which model is served, and where its weights come from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from reference_server.settings.setting import PATH, SEED, TEXT, Setting


@dataclass(frozen=True)
class ModelSettings:
    """What is served."""

    model_path: Annotated[
        Path | None,
        Setting(
            "DS_MODEL_PATH",
            PATH,
            "weights: a Llama folder as Hugging Face lays it out (config.json, model.safetensors or its index, "
            "tokenizer.json unless it is byte-level), or one safetensors file of the shape that "
            "DS_MODEL_NAME names; without it, seeded random weights",
        ),
    ] = None
    model_name: Annotated[
        str | None,
        Setting(
            "DS_MODEL_NAME",
            TEXT,
            "a named shape: tiny (the default), small, 135m, 1b or 8b; for a folder, the name to serve it under",
        ),
    ] = None
    seed: Annotated[int, Setting("DS_SEED", SEED, "seed of random weights: equal seeds, equal models")] = 0
