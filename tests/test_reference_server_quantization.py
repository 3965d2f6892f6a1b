"""Matrices in 8 bits: how near they are, and that their products do not depend on their company."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reference_server.errors import ConfigError
from reference_server.models.quantization import (
    GROUP,
    Int8Product,
    Int8Weight,
    concatenated,
    dequantize,
    quantize,
)

SIZES = [(5, 128), (300, 576), (7, 100), (16, 1536)]


def matrix(outputs: int, inputs: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("outputs", "inputs"), SIZES)
def test_every_element_is_within_half_a_step_of_its_group(outputs: int, inputs: int) -> None:
    weight = matrix(outputs, inputs)
    small = quantize(weight)
    assert (small.values.dtype, small.values.shape) == (torch.int8, (outputs, inputs))
    assert (small.scales.dtype, small.scales.shape) == (torch.float16, (outputs, -(-inputs // GROUP)))
    half_steps = small.scales.float().repeat_interleave(GROUP, dim=1)[:, :inputs] / 2
    assert ((dequantize(small) - weight).abs() <= half_steps * 1.0001).all()
    largest = [part.abs().amax(dim=1) for part in weight.split(GROUP, dim=1)]  # type: ignore[no-untyped-call]
    torch.testing.assert_close(
        small.scales.float() * 127, torch.stack(largest, dim=1), rtol=1.1e-3, atol=1e-5
    )


@pytest.mark.parametrize("size", [0.0, 1e-9, 1e-3, 60_000.0])
def test_groups_of_any_size_survive(size: float) -> None:
    weight = torch.full((2, GROUP), size)
    weight[0, 0] = -size
    assert (dequantize(quantize(weight)) - weight).abs().max() <= max(size * 0.005, 1e-7)


@pytest.mark.parametrize(("outputs", "inputs"), SIZES)
def test_a_product_is_that_of_the_weights_with_exact_inputs_nearly(outputs: int, inputs: int) -> None:
    small = quantize(matrix(outputs, inputs))
    rows = matrix(9, inputs, seed=1) * torch.logspace(-3, 3, 9).unsqueeze(1)
    expected = rows.double() @ dequantize(small).double().t()
    error = (Int8Product(small)(rows) - expected).abs().amax(dim=1) / expected.abs().amax(dim=1)
    assert error.max() < 2e-4, "inputs in two bytes: a part in 32,258 of the largest"


@given(cut=st.integers(1, 39), start=st.integers(0, 39))
def test_a_row_is_the_same_to_the_bit_in_any_company(cut: int, start: int) -> None:
    product = Int8Product(quantize(matrix(64, 200)))
    rows = matrix(40, 200, seed=2)
    together = product(rows)
    end = min(40, start + cut)
    assert torch.equal(product(rows[start:end]), together[start:end])


def test_rows_parts_and_sums_of_matrices_are_those_of_the_whole() -> None:
    one, other = quantize(matrix(20, 320)), quantize(matrix(12, 320, seed=4))
    whole, indices = dequantize(one), torch.tensor([3, 3, 0])
    assert torch.equal(Int8Product(one).rows(indices), whole[indices])
    assert torch.equal(dequantize(concatenated([one, other])), torch.cat([whole, dequantize(other)]))
    assert torch.equal(dequantize(one.narrow(0, 5, 10)), whole[5:15])
    assert torch.equal(dequantize(one.narrow(1, 128, 192)), whole[:, 128:])
    with pytest.raises(ConfigError, match="a multiple of 128 is expected, not 64"):
        one.narrow(1, 64, 128)


def test_a_product_holds_a_byte_per_weight_and_its_scales() -> None:
    small = quantize(matrix(256, 1024))
    assert Int8Product(small).memory_bytes() == 256 * 1024 + 256 * 8 * 4
    assert isinstance(small, Int8Weight)
