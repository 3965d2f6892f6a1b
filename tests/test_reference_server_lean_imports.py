"""A replica starts with less of its libraries than they would load, and misses none of it."""

import json
import subprocess
import sys
from typing import Any

import pytest

LEAN = "from reference_server.lean_torch import LATER, import_torch\nimport_torch()\nimport sys, torch\n"


def told(program: str) -> Any:
    """What a fresh interpreter prints last, as JSON."""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def test_what_is_for_later_is_still_empty_after_the_import_and_this_release_has_all_of_it() -> None:
    program = """
import json
found = {name: "__getattr__" in vars(sys.modules[name]) for name in LATER if name in sys.modules}
print(json.dumps([sorted(LATER - set(found)), sorted(name for name in found if not found[name])]))
"""
    absent, run = told(LEAN + program)
    assert run == []
    assert set(absent) <= {"torch.nn.qat", "torch.nn.quantizable", "torch.nn.quantized"}, (
        "imported by others here"
    )


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("torch.optim.SGD([torch.ones(1)], lr=0.5).defaults['lr']", 0.5),
        ("torch.distributions.Normal(0.0, 1.0).mean.item()", 0.0),
        ("torch.vmap(torch.neg)(torch.ones(2)).tolist()", [-1.0, -1.0]),
        ("torch.func.grad(torch.sin)(torch.zeros(())).item()", 1.0),
        ("torch.export.Dim('rows').__name__", "rows"),
        ("torch.compiler.is_compiling()", False),
        ("torch.jit.script(torch.nn.Linear(1, 1))(torch.zeros(1)).shape[0]", 1),
        ("torch.masked.masked_tensor(torch.ones(1), torch.tensor([True])).get_data().item()", 1.0),
        ("torch.cond(True, lambda x: x + 1, lambda x: x, (torch.zeros(()),)).item()", 1.0),
        (
            "[torch._meta_registrations.__spec__.name, len(torch._meta_registrations.activate_meta.__name__)]",
            ["torch._meta_registrations", 13],
        ),
    ],
    ids=str,
)
def test_whoever_asks_for_it_gets_the_real_thing(expression: str, value: Any) -> None:
    imported = (
        "import json, torch._meta_registrations\n" if "_meta_registrations" in expression else "import json\n"
    )
    assert told(f"{LEAN}{imported}print(json.dumps({expression}))") == value


def test_a_torch_that_was_imported_already_stays_as_it_is() -> None:
    program = """
import torch, torch.optim
from reference_server.lean_torch import import_torch
import_torch()
import json, sys
print(json.dumps(["__getattr__" in vars(torch.optim), len(sys.meta_path), hasattr(torch, "_meta_registrations")]))
"""
    plain = told("import torch, sys, json\nprint(json.dumps(len(sys.meta_path)))")
    assert told(program) == [False, plain, True]


def test_aiohttp_comes_without_certificates_and_leaves_tls_to_others_as_it_was() -> None:
    program = """
import json, ssl
plain = ssl.create_default_context
from reference_server.lean_http import import_aiohttp
import_aiohttp()
from aiohttp import connector
trusting = connector._SSL_CONTEXT_VERIFIED
print(json.dumps([ssl.create_default_context is plain, len(trusting.get_ca_certs()), trusting.verify_mode == 2]))
"""
    assert told(program) == [True, 0, True]
