"""transformers' continuous batching as a peer, on the same weights: as shipped, and with fast attention given to it.

Its fast path wants the package flash-attn, which torch carries in all but name: a stand-in module of that name leads
its one function that is needed to torch's own FlashAttention.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

STAND_IN = """
import torch


def flash_attn_varlen_func(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, dropout_p=0.0,
                           softmax_scale=None, causal=False, window_size=(-1, -1), **_):
    if tuple(window_size) != (-1, -1):
        raise NotImplementedError("full attention is expected")
    return torch.ops.aten._flash_attention_forward(
        q, k, v, cu_seqlens_q, cu_seqlens_k, int(max_seqlen_q), int(max_seqlen_k), dropout_p, causal, False,
        scale=softmax_scale)[0]


def _missing(*_, **__):
    raise NotImplementedError("only flash_attn_varlen_func is here")


flash_attn_func = flash_attn_with_kvcache = _missing
"""
PADDING = """
def _missing(*_, **__):
    raise NotImplementedError


pad_input = unpad_input = index_first_axis = _missing
"""
METADATA = "Metadata-Version: 2.1\nName: flash-attn\nVersion: 2.8.3\n"


def install_stand_in() -> None:
    """Put a package `flash_attn` on the path; before transformers is imported."""
    folder = Path(tempfile.mkdtemp(prefix="flash-attn-"))
    package, info = folder / "flash_attn", folder / "flash_attn-2.8.3.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").write_text(STAND_IN)
    (package / "bert_padding.py").write_text(PADDING)
    (info / "METADATA").write_text(METADATA)
    (info / "top_level.txt").write_text("flash_attn\n")
    (info / "RECORD").write_text("flash_attn/__init__.py,,\nflash_attn-2.8.3.dist-info/METADATA,,\n")
    sys.path.insert(0, str(folder))


def measure(model: Any, attention: str, prompts: Sequence[Sequence[int]], tokens: int) -> tuple[float, float]:
    """Median seconds between tokens with all requests decoding, and seconds to all first tokens.

    Raises:
        RuntimeError: transformers answered some request with an error.
    """
    from transformers import ContinuousBatchingConfig, GenerationConfig

    model.set_attn_implementation(f"paged|{attention}")
    config = ContinuousBatchingConfig(max_blocks_per_request=0, allow_block_sharing=False)
    generation = GenerationConfig(max_new_tokens=tokens, do_sample=False, eos_token_id=-1, pad_token_id=0)
    start = time.perf_counter()
    answers = model.generate_batch(
        [list(prompt) for prompt in prompts], generation_config=generation, continuous_batching_config=config,
        record_timestamps=True,
    )  # fmt: skip
    stamps = [answer.timestamps for answer in answers.values() if answer.error is None]
    if len(stamps) != len(prompts) or any(len(times) < tokens for times in stamps):
        raise RuntimeError(f"transformers answered {len(stamps)} of {len(prompts)} requests in full")
    all_decoding, first_done = max(times[0] for times in stamps), min(times[-1] for times in stamps)
    gaps = [
        late - early
        for times in stamps
        for early, late in pairwise(times)
        if early >= all_decoding and late <= first_done
    ]
    return statistics.median(gaps), all_decoding - start
