"""How much the KV cache holds, and how long a block of it can be found."""

from dataclasses import dataclass
from typing import Annotated

from reference_server.settings.setting import COUNT, SOME_SECONDS, Setting, one_of


@dataclass(frozen=True)
class CacheSettings:
    """The KV cache, and what of it later prompts can find."""

    cache_type: Annotated[
        str,
        Setting(
            "DS_CACHE_TYPE",
            one_of("memory", "disk", "hybrid"),
            "tiers of the prefix cache; only memory exists yet",
        ),
    ] = "memory"
    cache_megabytes: Annotated[
        int,
        Setting(
            "DS_CACHE_MEGABYTES",
            COUNT,
            "size of the prefix cache's memory tier: how much of the KV cache blocks that no running request holds "
            "may fill, for later ones to find",
        ),
    ] = 512
    cache_ttl_s: Annotated[
        float,
        Setting("DS_CACHE_TTL_SECONDS", SOME_SECONDS, "how long a block can be found after it was written"),
    ] = 60.0
    kv_tokens: Annotated[
        int | None,
        Setting(
            "DS_KV_TOKENS",
            COUNT,
            "positions of the KV cache, in blocks of 16 that running requests and the prefix cache share; when "
            "they run out, the last request to arrive is recomputed later (default: running requests x context)",
        ),
    ] = None
