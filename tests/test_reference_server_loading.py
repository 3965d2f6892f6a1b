"""From settings to a backend: what is asked of the machine on the way."""

import os
from dataclasses import replace

import pytest
import torch

from reference_server.config import Settings
from reference_server.loading import load_backend
from reference_server.models.served_model import served_model


def test_a_replica_of_one_rank_asks_the_driver_for_one_queue_unless_it_is_told_how_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = replace(Settings(), torch_threads=torch.get_num_threads())
    monkeypatch.setenv("CUDA_DEVICE_MAX_CONNECTIONS", "8")
    load_backend(settings, served_model(settings))
    assert os.environ["CUDA_DEVICE_MAX_CONNECTIONS"] == "8"
    monkeypatch.delenv("CUDA_DEVICE_MAX_CONNECTIONS")
    load_backend(settings, served_model(settings))
    assert os.environ["CUDA_DEVICE_MAX_CONNECTIONS"] == "1"
