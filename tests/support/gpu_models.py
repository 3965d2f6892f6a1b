"""Models with random weights on a GPU, ours and the same one in transformers; torch is imported when one is made."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reference_server.models.shapes import Shape, config_json

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from reference_server.models.quantization import Int8Weight


def random_gpu_weights(
    shape: Shape, device: "torch.device", *, int8: bool
) -> "dict[str, Tensor | Int8Weight]":
    """Random weights made on the device, scaled as `random_weights`."""
    import torch

    from reference_server.models.quantization import quantize
    from reference_server.models.weights import tensor_sizes

    source = torch.Generator(device).manual_seed(0)
    weights: dict[str, Tensor | Int8Weight] = {}
    for name, size in tensor_sizes(shape).items():
        if len(size) == 1:
            weights[name] = torch.ones(size, device=device, dtype=torch.bfloat16)
            continue
        made = torch.randn(size, generator=source, device=device, dtype=torch.bfloat16) * size[1] ** -0.5
        weights[name] = quantize(made) if int8 else made
    return weights


def hugging_face_model(shape: Shape, weights: "Mapping[str, Tensor]") -> Any:
    """The same decoder in transformers, which holds the very tensors of `weights`."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    from reference_server.models.weights import EMBEDDING, HEAD

    config = LlamaConfig(
        **config_json(shape) | {"bos_token_id": None, "eos_token_id": None}, dtype="bfloat16"
    )
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    missing, unexpected = model.load_state_dict(dict(weights), strict=False, assign=True)
    assert not unexpected, unexpected
    assert set(missing) <= {HEAD}, missing
    model.tie_weights()
    model.model.rotary_emb = LlamaRotaryEmbedding(
        config, weights[EMBEDDING].device
    )  # no weight: still on meta
    return model.eval()
